"""Where heads are, told by the keypoints: circles that rather cover too much than too little."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

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


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """Pairs of keypoints and what their distance says of the head."""

    a: Int64  # (N,) keypoint
    b: Int64
    radii: Float32  # (N,) head radii in a pixel of distance

    def largest(self, xy: Float32) -> float:
        """The head's radius in pixels as its pairs in (C, 2) say at most; 0: no pair is there."""
        apart = np.hypot(*(xy[self.a] - xy[self.b]).T) * self.radii
        return float(np.nanmax(apart, initial=0.0))


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


def find_head(keypoints: Float32, body: Body, least_px: float) -> tuple[float, float, float] | None:
    """x, y and radius in pixels of the circle around the head of a person (C, 3).

    From the face if any of it was found; else above neck and shoulders, and wider; else above all
    that was found, and much wider. None: nothing was found.
    """
    found = found_in(keypoints)
    if not found.any():
        return None
    xy = np.where(found[:, None], keypoints[:, :2], np.nan)
    radius = head_radius(xy, body, least_px)
    face = xy[body.face][found[body.face]]
    if len(face):
        centre = (face.min(axis=0) + face.max(axis=0)) / 2
        reach = float(np.hypot(*(face - centre).T).max())
        return float(centre[0]), float(centre[1]), max(radius, 1.3 * reach)
    base = _middle(xy, body.neck, body.shoulders)
    if base is not None:
        hips = _middle(xy, body.hips)
        x, y = base + 1.6 * radius * _up(base, hips)
        return float(x), float(y), 1.4 * radius
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    extent = max(float((high - low).max()), 2 * least_px)
    return float((low[0] + high[0]) / 2), float(low[1] - 0.4 * extent), 0.6 * extent


def head_radius(xy: Float32, body: Body, least_px: float) -> float:
    """Pixels of 15 cm at the person whose keypoints are (C, 2+), NaN where they were not found."""
    return max(body.near.largest(xy[:, :2]) or body.far.largest(xy[:, :2]), least_px)


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
