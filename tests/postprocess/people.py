"""Maps of made-up people, drawn the way a network is taught to draw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posert.postprocess.topology import Topology
from posert.types import Float32

CHAIN = Topology("chain", ("a", "b", "c"), ((0, 1), (1, 2)), ((0, 1), (2, 3)))
Points = Sequence[tuple[float, float] | None]  # x, y in cells of each keypoint; None is missing


def draw(
    people: Sequence[Points], size: tuple[int, int], topology: Topology = CHAIN
) -> tuple[Float32, Float32]:
    """Gaussians of sigma 1.4 cells, and unit vectors within 1 cell of each link."""
    y, x = np.indices(size, np.float32) + 0.5
    cmap = np.zeros((len(topology.keypoints), *size), np.float32)
    paf = np.zeros((2 * len(topology.links), *size), np.float32)
    for points in people:
        for plane, point in zip(cmap, points, strict=True):
            if point is not None:
                distance = (x - point[0]) ** 2 + (y - point[1]) ** 2
                np.maximum(plane, np.exp(-distance / (2 * 1.4**2)), out=plane)
        for (a, b), (of_y, of_x) in zip(topology.links, topology.paf_channels, strict=True):
            start, end = points[a], points[b]
            if start is not None and end is not None:
                _draw_link(paf[of_y], paf[of_x], start, end)
    return cmap, paf


def _draw_link(
    of_y: Float32, of_x: Float32, start: tuple[float, float], end: tuple[float, float]
) -> None:
    y, x = np.indices(of_y.shape, np.float32) + 0.5
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    along = (x - start[0]) * ux + (y - start[1]) * uy
    across = (x - start[0]) * uy - (y - start[1]) * ux
    near = (np.abs(across) <= 1) & (along >= -1) & (along <= length + 1)
    of_y[near], of_x[near] = uy, ux
