"""Everything but the people made black, as far as keypoints tell where people are."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from posert.postprocess.draw.heads import body, find_heads, usual_radius
from posert.postprocess.draw.parts import part
from posert.postprocess.draw.points import SHIFT, Point, fixed, found_in
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

_ENDS: Final = frozenset({"wrist", "ankle"})  # hands and feet lie beyond them
_TORSO: Final = frozenset({"shoulder", "hip", "neck"})
_LEAST: Final = 1 / 120  # of the picture's shorter side: the least radius of a head
# radii of a head, 15 cm
_LIMB: Final = 1.2  # thickness
_HEAD: Final = 1.2  # radius; hair and hats
_END: Final = 1.1


def people_only(image: Image, people: People, topology: Topology) -> Image:
    """A new (H, W, 3): ``image``, black but for the people.

    What is kept is made of keypoints, not of outlines: thickened limbs, the torso between
    shoulders and hips, a circle for the head. It shows some of what is beside people, and cuts off
    wide clothes, what they carry, and limbs that were not found.
    """
    mask = np.zeros(image.shape[:2], np.uint8)
    for keypoints in people.keypoints:
        _cover(mask, keypoints, topology)
    return np.asarray(cv2.bitwise_and(image, image, mask=mask), np.uint8)


def _cover(mask: npt.NDArray[np.uint8], keypoints: Float32, topology: Topology) -> None:
    found, parts = found_in(keypoints), body(topology)
    if not found.any():
        return
    unit = max(_LEAST * min(mask.shape), usual_radius(keypoints, parts))
    points = fixed(keypoints, found)
    thickness = max(1, round(_LIMB * unit))
    for a, b in topology.links:
        start, end = points[a], points[b]
        if start is not None and end is not None:
            cv2.line(mask, start, end, 255, thickness, cv2.LINE_8, SHIFT)
    torso = _those(points, topology, _TORSO)
    if torso:
        hull = cv2.convexHull(np.array(torso, np.int32))
        cv2.fillPoly(mask, [hull], 255, cv2.LINE_8, SHIFT)
        cv2.polylines(mask, [hull], True, 255, thickness, cv2.LINE_8, SHIFT)
    for point in _those(points, topology, _ENDS):
        _circle(mask, point, _END * unit)
    if found[parts.face + parts.neck + parts.shoulders].any():
        for head in find_heads(keypoints, parts, unit):
            centre = (round(head.x * 2**SHIFT), round(head.y * 2**SHIFT))
            _circle(mask, centre, _HEAD * head.radius)


def _those(points: list[Point | None], topology: Topology, names: frozenset[str]) -> list[Point]:
    named = zip(points, topology.keypoints, strict=True)
    return [point for point, name in named if point is not None and part(name).name in names]


def _circle(mask: npt.NDArray[np.uint8], point: Point, radius: float) -> None:
    cv2.circle(mask, point, round(radius * 2**SHIFT), 255, cv2.FILLED, cv2.LINE_8, SHIFT)
