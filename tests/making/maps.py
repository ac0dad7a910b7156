"""Maps of crowds: people at random places as a network sees them, noise included."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from posert.postprocess.topology import Topology
from posert.types import Float32

Float64: TypeAlias = npt.NDArray[np.float64]

_SIGMA = 1.4  # cells
_REACH = 5  # cells around a keypoint beyond which it leaves no trace


def crowd(
    seed: int, people: int, size: tuple[int, int], topology: Topology, noise: float = 0.01
) -> tuple[Float32, Float32]:
    """Maps of ``size`` (h, w) in which ``people`` stand, some of them partly hidden.

    Returns:
        cmap (C, h, w) and paf (2K, h, w).
    """
    rng = np.random.default_rng(seed)
    h, w = size
    cmap = rng.normal(0, noise, (len(topology.keypoints), h, w)).astype(np.float32)
    paf = rng.normal(0, noise, (2 * len(topology.links), h, w)).astype(np.float32)
    shape = rng.uniform(-0.5, 0.5, (len(topology.keypoints), 2))  # alike for all, near enough
    for _ in range(people):
        height = rng.uniform(0.15, 0.6) * h
        middle = rng.uniform(0, 1, 2) * size
        points = middle + height * (shape + rng.normal(0, 0.05, shape.shape))
        seen = (points >= 0).all(1) & (points < size).all(1) & (rng.random(len(points)) > 0.1)
        for plane in np.flatnonzero(seen):
            _draw_point(cmap[plane], points[plane], rng.uniform(0.3, 1))
        for (a, b), channels in zip(topology.links, topology.paf_channels, strict=True):
            if seen[a] and seen[b]:
                _draw_link(paf, channels, points[a], points[b])
    return cmap, paf


def _draw_point(plane: Float32, point: Float64, strength: float) -> None:
    where, y, x = _around(plane.shape, point, point)
    bump = strength * np.exp(-((y - point[0]) ** 2 + (x - point[1]) ** 2) / (2 * _SIGMA**2))
    plane[where] = np.maximum(plane[where], bump)


def _draw_link(paf: Float32, channels: tuple[int, int], start: Float64, end: Float64) -> None:
    """The unit vector from ``start`` to ``end`` (y, x) within a cell of the line."""
    where, y, x = _around(paf.shape[1:], start, end)
    length = max(float(np.hypot(*(end - start))), 1e-6)
    unit = (end - start) / length
    across = (x - start[1]) * unit[0] - (y - start[0]) * unit[1]
    along = (y - start[0]) * unit[0] + (x - start[1]) * unit[1]
    near = (np.abs(across) <= 1) & (along >= -1) & (along <= length + 1)
    for channel, part in zip(channels, unit, strict=True):
        paf[channel][where] += near * np.float32(part)


def _around(
    size: tuple[int, ...], one: Float64, other: Float64
) -> tuple[tuple[slice, slice], Float64, Float64]:
    """The part of a map about two points, and its cells' centres as y (n, 1) and x (1, m)."""
    low = np.maximum(np.minimum(one, other).astype(int) - _REACH, 0)
    high = np.minimum(np.maximum(one, other).astype(int) + _REACH + 1, size)
    y, x = (np.arange(a, b) + 0.5 for a, b in zip(low, high, strict=True))
    return (slice(low[0], high[0]), slice(low[1], high[1])), y[:, None], x[None]
