"""Peaks of the confidence maps: where each keypoint type is, to a fraction of a cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from posert.types import Float32, Int64

Mask: TypeAlias = npt.NDArray[np.bool_]

CELL_CENTRE = np.float32(0.5)
LEAST = np.float32(1e-3)  # stands for values without a logarithm


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The n peaks of N pictures, sorted by picture and type, row-major within a type."""

    kinds: Int64  # (n,) keypoint type, 0..C-1
    cells: Int64  # (n, 2) y, x of the peak's cell; of a compact form, the cell of its point
    points: Float32  # (n, 2) y, x in map cells; a cell's centre is at + 0.5
    scores: Float32  # (n,) the confidence map's value at the cell
    starts: Int64  # (N * C + 1,) type c of picture p has the peaks from starts[p * C + c] on
    left_out: tuple[int, ...] = (0,)  # N, peaks beyond the cap, over all types

    @property
    def counts(self) -> Int64:
        """Peaks of each type, picture by picture, int64 (N * C,)."""
        return self.starts[1:] - self.starts[:-1]

    @property
    def types(self) -> int:
        """Keypoint types C."""
        return (len(self.starts) - 1) // len(self.left_out)

    def pictures(self) -> Int64:
        """The picture of each peak, int64 (n,)."""
        firsts = self.starts[:: self.types]
        return np.repeat(np.arange(len(self.left_out)), firsts[1:] - firsts[:-1])


def find_peaks(
    cmap: Float32, threshold: float, window: int, max_peaks: int, *, strongest: bool = False
) -> Peaks:
    """Cells of at least ``threshold`` with no larger cell in the window around them.

    Equal neighbours are all peaks. Of each type ``max_peaks`` are kept, the others counted.

    Args:
        cmap: float32 (C, h, w), finite.
        threshold: least value of a peak, above 0.
        window: side of the square window, cells, odd.
        max_peaks: most peaks of one keypoint type.
        strongest: keep the strongest (of equal ones the first) instead of the first in row-major
            order, as trt_pose does: a crowd then loses its faintest peaks, not its lowest ones.
    """
    kinds, ys, xs = _local_maxima(cmap, threshold, window)
    found = np.bincount(kinds, minlength=len(cmap))
    scores = cmap[kinds, ys, xs]
    kept = within_cap(kinds, scores, found, max_peaks, strongest=strongest)
    cells = np.stack([ys, xs], axis=1)[kept]
    counts = np.minimum(found, max_peaks)
    return Peaks(
        kinds=kinds[kept],
        cells=cells,
        points=cells.astype(np.float32) + CELL_CENTRE,
        scores=scores[kept],
        starts=np.concatenate([[0], np.cumsum(counts)]),
        left_out=(int(found.sum() - counts.sum()),),
    )


def within_cap(
    kinds: Int64, scores: Float32, counts: Int64, max_peaks: int, *, strongest: bool
) -> Mask:
    """Which of the peaks, sorted by type, are among the first or strongest of theirs: bool (n,).

    Args:
        kinds: int64 (n,), ascending.
        scores: float32 (n,).
        counts: int64, peaks of each type.
        max_peaks: most peaks of one keypoint type.
        strongest: whether the strongest are kept, of equal ones the first.
    """
    if counts.max(initial=0) <= max_peaks:
        return np.ones(len(kinds), bool)
    rank = count_up(counts)
    if strongest:
        rank[np.lexsort((-scores, kinds))] = rank.copy()
    kept: Mask = rank < max_peaks
    return kept


def count_up(counts: Int64) -> Int64:
    """0, 1, ... ``counts[0]`` - 1, 0, 1, ... ``counts[1]`` - 1, and so on."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def refine_peaks(peaks: Peaks, cmap: Float32, window: int) -> Peaks:
    """Move each peak to the score-weighted mean of its window, as trt_pose does.

    Cells off the map are reflected at its border. Sums run in trt_pose's order, and its
    normalisation by (h, w) is done and undone, so that the float32 result is its own to the bit:
    samples of a link that fall on the edge of a cell then read the same cell.
    """
    size = np.asarray(cmap.shape[1:])
    around = peaks.cells + window_offsets(window)[:, None]  # (window², n, 2)
    inside = _reflect(around, size)
    weights = cmap[peaks.kinds, inside[..., 0], inside[..., 1]]  # (window², n)
    with np.errstate(all="ignore"):  # weights that cancel out: judged below
        total = weights.sum(axis=0)[:, None]
        mean = (weights[..., None] * around.astype(np.float32)).sum(axis=0) / total
        points = (mean + CELL_CENTRE) / size.astype(np.float32) * size.astype(np.float32)
    return replace(peaks, points=np.where(np.isfinite(points), points, peaks.points))


def fit_peaks(peaks: Peaks, cmap: Float32) -> Peaks:
    """Move each peak to the top of a parabola through its neighbourhood's logarithms.

    That is exact for a Gaussian of any width, where the mean of a window that cuts the Gaussian
    stays too near the middle cell. On the border the cell's centre is kept in that direction.
    """
    sides = [_fit(peaks, cmap, axis) for axis in (0, 1)]
    return replace(peaks, points=peaks.points + np.stack(sides, axis=1))


def _fit(peaks: Peaks, cmap: Float32, axis: int) -> Float32:
    """How far the parabola's top is from the cell's centre along an axis, cells: float32 (n,)."""
    step = np.eye(2, dtype=np.int64)[axis]
    last = np.asarray(cmap.shape[1:]) - 1
    before, here, after = (
        np.log(np.maximum(cmap[peaks.kinds, y, x], LEAST))
        for y, x in (np.clip(peaks.cells + side * step, 0, last).T for side in (-1, 0, 1))
    )
    curve = before + after - 2 * here  # 0 on a plateau, else below: no neighbour is larger
    between = (peaks.cells[:, axis] > 0) & (peaks.cells[:, axis] < last[axis]) & (curve < 0)
    top = (before - after) / np.where(between, 2 * curve, 1)
    return np.where(between, top, np.float32(0))


def _local_maxima(cmap: Float32, threshold: float, window: int) -> tuple[Int64, Int64, Int64]:
    """Type, y and x of the cells that are the largest of their window, row-major."""
    _, h, w = cmap.shape
    square = np.ones((window, window), np.uint8)
    largest = np.stack([cv2.dilate(plane, square) for plane in cmap])
    cells = np.flatnonzero((cmap >= np.float32(threshold)) & (cmap >= largest))
    return cells // (h * w), cells // w % h, cells % w


def window_offsets(window: int) -> Int64:
    """Steps (dy, dx) from a window's centre to its cells, row-major: int64 (window², 2)."""
    steps = np.indices((window, window)).reshape(2, -1).T - window // 2
    return steps.astype(np.int64)


def _reflect(cells: Int64, size: Int64) -> Int64:
    """Cells off the map, mirrored at its outermost cells (then clipped: one mirror may not do)."""
    last = size - 1
    mirrored = last - np.abs(last - np.abs(cells))
    return np.clip(mirrored, 0, last)
