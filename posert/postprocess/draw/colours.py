"""Which colour each link, keypoint and person has."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from posert.postprocess.draw.parts import FACE, part
from posert.postprocess.topology import Topology
from posert.types import People

Colour = tuple[int, int, int]  # BGR

WHITE: Final[Colour] = (255, 255, 255)
_GREEN: Final[Colour] = (0, 255, 0)  # trt_pose's own drawing
# those of MMPose's COCO skeleton
_LEFT: Final[Colour] = (0, 255, 0)
_RIGHT: Final[Colour] = (0, 128, 255)
_MIDDLE: Final[Colour] = (255, 153, 51)  # face and torso
_UNSURE: Final[Colour] = (190, 190, 190)  # followed, but not long enough for an id
_TRUNK: Final = frozenset({"shoulder", "hip", "neck"})


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of links and keypoints; None: each person's own."""

    links: tuple[Colour, ...] | None  # K
    points: tuple[Colour, ...] | None  # C


@lru_cache(maxsize=64)
def palette(topology: Topology, colours: str) -> Palette:
    """The palette that ``DrawStyle.colours`` names."""
    if colours == "ids":
        return Palette(None, None)
    names = topology.keypoints
    if colours == "coco":
        return Palette(
            tuple(_of_side(names[a], names[b]) for a, b in topology.links),
            tuple(_of_side(name) for name in names),
        )
    if colours == "trt_pose":
        return Palette((_GREEN,) * len(topology.links), (_GREEN,) * len(names))
    return Palette(tuple(hue(k) for k in range(len(topology.links))), (WHITE,) * len(names))


def person_colour(people: People, number: int) -> Colour:
    """The colour of a person: always the same for an id, else by position."""
    if people.ids is None:
        return hue(number)
    identity = int(people.ids[number])
    return hue(identity - 1) if identity > 0 else _UNSURE


def bright(colour: Colour) -> Colour:
    """Half way to white: readable within a black outline, whatever the hue."""
    b, g, r = ((value + 255) // 2 for value in colour)
    return b, g, r


@lru_cache(maxsize=1024)
def hue(position: int) -> Colour:
    """Bright colours; golden-ratio steps keep neighbours apart."""
    r, g, b = colorsys.hsv_to_rgb((position * 0.618034) % 1.0, 0.85, 1.0)
    return round(b * 255), round(g * 255), round(r * 255)


def _of_side(*keypoints: str) -> Colour:
    """Left and right limbs apart; what is in the middle or crosses it is neither."""
    parts = [part(keypoint) for keypoint in keypoints]
    sides = {p.side for p in parts}
    within = all(p.name in FACE for p in parts) or (
        len(parts) > 1 and all(p.name in _TRUNK or p.name in FACE for p in parts)
    )
    if within or len(sides) > 1:
        return _MIDDLE
    return {"left": _LEFT, "right": _RIGHT}.get(sides.pop(), _MIDDLE)
