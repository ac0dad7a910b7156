"""Where heads are, told by the keypoints: circles that rather cover too much than too little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from posert.postprocess.draw.parts import FACE, Part, part
from posert.postprocess.draw.points import found_in
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64

# Radii of a head (15 cm, chin and crown within) in the longest distance that two keypoints of an
# adult show from any side, centimetres: shorter ones are seen at an angle, so the largest counts.
_HEAD_CM: Final = 15.0
_NEAR_CM: Final = {
    ("ear", "ear"): 14.5,
    ("eye", "eye"): 6.3,
    ("ear", "nose"): 13.0,
    ("eye", "nose"): 6.5,
    ("ear", "eye"): 11.0,
    ("neck", "nose"): 24.0,
    ("eye", "neck"): 26.0,
    ("ear", "neck"): 22.0,
    ("shoulder", "shoulder"): 36.0,
}
_FAR_CM: Final = {
    ("hip", "shoulder"): 52.0,
    ("hip", "neck"): 54.0,
    ("hip", "knee"): 43.0,
    ("ankle", "knee"): 42.0,
    ("elbow", "shoulder"): 30.0,
    ("elbow", "wrist"): 26.0,
}


_USUAL: Final = 0.7  # quantile: some distances are always seen at an angle
_BELIEVED: Final = 1.6  # times the usual radius, the most


class Head(NamedTuple):
    """A circle, pixels."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """Pairs of keypoints and what their distance says of the head."""

    a: Int64  # (N,) keypoint
    b: Int64
    radii: Float32  # (N,) head radii in a pixel of distance

    def say(self, keypoints: Float32) -> Float32:
        """(n,) pixels of a head's radius, as each pair that was found of (C, 3) has it."""
        xy = keypoints[:, :2]
        apart = np.hypot(*(xy[self.a] - xy[self.b]).T) * self.radii
        return np.asarray(apart[np.isfinite(apart)], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Keypoints of a topology by what they are; each may be empty."""

    face: list[int]
    neck: list[int]
    shoulders: list[int]
    hips: list[int]
    near: Lengths
    far: Lengths

    @property
    def has_head(self) -> bool:
        """Some keypoint tells where a head is."""
        return bool(self.face or self.neck or self.shoulders)


@lru_cache(maxsize=64)
def body(topology: Topology) -> Body:
    """The parts of the body that ``topology`` names."""
    parts = [part(name) for name in topology.keypoints]

    def those(*names: str) -> list[int]:
        return [i for i, p in enumerate(parts) if p.name in names]

    return Body(
        face=those(*FACE),
        neck=those("neck"),
        shoulders=those("shoulder"),
        hips=those("hip"),
        near=_lengths(parts, _NEAR_CM),
        far=_lengths(parts, _FAR_CM),
    )


def safe_radius(keypoints: Float32, body: Body) -> float:
    """Pixels of a head's radius, rather too much, as keypoints (C, 3) say; 0: they say nothing.

    The most that those near the head say, within reason: from behind, eyes and nose are found
    anywhere, and what most of the body says holds them in bounds.
    """
    usual = usual_radius(keypoints, body)
    near = body.near.say(keypoints)
    return min(max(usual, float(near.max(initial=0))), _BELIEVED * usual)


def usual_radius(keypoints: Float32, body: Body) -> float:
    """Pixels of a head's radius as most keypoints (C, 3) say: one that is wrong does not matter."""
    radii = np.concatenate([body.near.say(keypoints), body.far.say(keypoints)])
    return float(np.quantile(radii, _USUAL)) if len(radii) else 0.0


def find_heads(keypoints: Float32, body: Body, radius: float) -> list[Head]:
    """Circles around the head of a person (C, 3), whose head has so many pixels of radius.

    From the face if any of it was found. From neck and shoulders, wider, where no face was found or
    it is not where they say: either may be wrong. Else above all that was found, much wider.
    """
    found = found_in(keypoints)
    xy = np.where(found[:, None], keypoints[:, :2], np.nan)
    heads = [*_by_face(xy[body.face][found[body.face]], radius)]
    for above in _by_neck(xy, body, radius):
        if all(math.hypot(above.x - head.x, above.y - head.y) > head.radius for head in heads):
            heads.append(above)
    return heads or _by_extent(xy[found], radius)


def _by_face(face: Float32, radius: float) -> list[Head]:
    if not len(face):
        return []
    x, y = np.median(face, axis=0)
    reach = float(np.hypot(*(face - (x, y)).T).max())
    return [Head(float(x), float(y), min(max(radius, 1.3 * reach), 2 * radius))]


def _by_neck(xy: Float32, body: Body, radius: float) -> list[Head]:
    base = _middle(xy, body.neck, body.shoulders)
    if base is None:
        return []
    height = 1.6 * min(radius, usual_radius(xy, body) or radius)
    x, y = base + height * _up(base, _middle(xy, body.hips))
    sure = np.isfinite(xy[body.neck + body.shoulders, 0]).sum() > 1
    return [Head(float(x), float(y), (1.4 if sure else 2.2) * radius)]  # a shoulder is beside it


def _by_extent(found: Float32, radius: float) -> list[Head]:
    if not len(found):
        return []
    low, high = found.min(axis=0), found.max(axis=0)
    extent = max(float((high - low).max()), 2 * radius)
    return [Head(float(low[0] + high[0]) / 2, float(low[1]) - 0.4 * extent, 0.6 * extent)]


def _middle(xy: Float32, *groups: list[int]) -> Float32 | None:
    """The mean of what was found of the first group of which something was."""
    for group in groups:
        there = xy[group][np.isfinite(xy[group, 0])]
        if len(there):
            return np.asarray(there.mean(axis=0), np.float32)
    return None


def _up(base: Float32, hips: Float32 | None) -> Float32:
    """From the hips to the neck, or up in the picture."""
    if hips is not None and (length := float(np.hypot(*(base - hips)))) > 0:
        return (base - hips) / length
    return np.array([0, -1], np.float32)


def _lengths(parts: list[Part], centimetres: dict[tuple[str, str], float]) -> Lengths:
    """The pairs of a known length: on one side of the body, or the same part on both."""
    pairs = []
    for i, one in enumerate(parts):
        for j, other in enumerate(parts[:i]):
            first, second = sorted((one.name, other.name))
            length = centimetres.get((first, second))
            sides = {one.side, other.side} - {""}
            if length is not None and (len(sides) < 2 or one.name == other.name):
                pairs.append((i, j, _HEAD_CM / length))
    table = np.array(pairs, np.float64).reshape(-1, 3)
    return Lengths(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2].astype(np.float32)
    )
