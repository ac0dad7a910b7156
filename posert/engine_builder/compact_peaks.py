"""Peaks in an ONNX graph: ``posert.postprocess.peaks`` for a batch, with a fixed number a type.

Shapes: N batch, C keypoint types, M most peaks of a type, h and w map cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posert.engine_builder.graph import Size, Tensor
from posert.postprocess.peaks import CELL_CENTRE, LEAST, window_offsets
from posert.postprocess.settings import ParserSettings

_LAST = -3e38  # as a sorting key: after everything else
_STEPS = ((-1, 0), (0, -1), (0, 0), (1, 0), (0, 1))  # y, x: before on both axes, here, after


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The size of the maps, in cells: numbers where it is one, else int32 tensors of the graph."""

    h: Size
    w: Size
    sides: Tensor  # int32 (2, 1), h and w

    @classmethod
    def of(cls, cmap: Tensor, size: tuple[int, int] | None) -> Grid:
        """The grid of ``cmap`` (N, C, h, w), whose ``size`` is (h, w) or free."""
        graph = cmap.graph
        if size is not None:
            return cls(*size, graph.constant(np.reshape(size, (2, 1)), np.int32))
        shape = graph.node("Shape", cmap, dtype=np.int64).cast(np.int32)
        return cls(shape.choose(0, 2), shape.choose(0, 3), shape.slice(0, 2, 4).reshape(2, 1))

    def holds(self, count: int) -> bool:
        """Whether the maps are known to have ``count`` cells."""
        return isinstance(self.h, int) and isinstance(self.w, int) and self.h * self.w >= count

    def positions(self, beyond: int) -> Tensor:
        """0, 1, ... of all cells, row-major, and of so many ``beyond``: float32."""
        graph = self.sides.graph
        if isinstance(self.h, int) and isinstance(self.w, int):
            return graph.constant(np.arange(self.h * self.w + beyond), np.float32)
        end = graph.operand(self.h * self.w + beyond, np.dtype(np.int32))
        start, step = (graph.constant(value, np.int32) for value in (0, 1))
        return graph.node("Range", start, end, step).cast(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class PeakTensors:
    """Peaks of each type in row-major order; 0 in all places that none takes."""

    points: Tensor  # float32 (N, C, 2, M) y, x in map cells
    scores: Tensor  # float32 (N, C, M)
    counts: Tensor  # int32 (N, C), those beyond M included


def peak_tensors(cmap: Tensor, kinds: int, grid: Grid, settings: ParserSettings) -> PeakTensors:
    """Find peaks in ``cmap``, float32 (N, ``kinds``, h, w), and place them between cells."""
    flat = cmap.reshape(0, kinds, -1)
    cells, scores, counts = _find_peaks(cmap, flat, grid, settings)
    y = cells // grid.w
    yx = y, cells - y * grid.w
    at = cmap.graph.concat(yx, axis=2)  # (N, C, 2, M)
    if settings.reference:
        points = _refine_peaks(flat, yx, at, grid, settings.window)
    else:
        points = _fit_peaks(flat, yx, at, grid)
    there = scores.reshape(0, 0, 1, settings.max_peaks) > 0
    return PeakTensors(there.where(points, 0), scores, counts)


def _find_peaks(
    cmap: Tensor, flat: Tensor, grid: Grid, settings: ParserSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Cells int32 (N, C, 1, M), scores float32 (N, C, M) and counts int32 (N, C)."""
    reach, most = settings.window // 2, settings.max_peaks
    largest = cmap.graph.node(
        "MaxPool", cmap, kernel_shape=(settings.window,) * 2, pads=(reach,) * 4
    )
    is_peak = (cmap >= largest) & (cmap >= settings.threshold)
    counts = is_peak.cast(np.int32).sum(2, 3)
    strengths = is_peak.where(cmap, 0).reshape(0, 0, -1)
    if not grid.holds(most):
        strengths = strengths.pad((0, 0, 0), (0, 0, most))
    choose = _first if settings.reference else _strongest
    cells, scores = choose(strengths, grid, most)
    cells = (scores > 0).where(cells.cast(np.int32), 0)
    return cells.reshape(0, 0, 1, most), scores, counts


def _strongest(strengths: Tensor, grid: Grid, most: int) -> tuple[Tensor, Tensor]:
    """The strongest cells in row-major order, int64, and their strengths; (N, C, M) both."""
    scores, cells = strengths.top(most)
    _, order = (scores > 0).where(-cells.cast(np.float32), _LAST).top(most)
    return cells.take(2, order), scores.take(2, order)


def _first(strengths: Tensor, grid: Grid, most: int) -> tuple[Tensor, Tensor]:
    """The first cells that are peaks, int64, and their strengths; (N, C, M) both."""
    beyond = 0 if grid.holds(most) else most
    keys = (strengths > 0).where(-grid.positions(beyond), _LAST)
    _, cells = keys.top(most)
    return cells, strengths.take(2, cells)


def _fit_peaks(flat: Tensor, yx: tuple[Tensor, Tensor], at: Tensor, grid: Grid) -> Tensor:
    """``fit_peaks``: points float32 (N, C, 2, M) of the cells ``at``."""
    steps = np.asarray(_STEPS)[:, :, None]  # (5, 2, 1)
    y = (yx[0] + steps[:, 0]).maximum(0).minimum(grid.h - 1)
    x = (yx[1] + steps[:, 1]).maximum(0).minimum(grid.w - 1)
    values = _read(flat, y, x, grid, len(steps)).maximum(LEAST).log()
    before, here, after = (values.slice(2, *rows) for rows in ((0, 2), (2, 3), (3, 5)))
    curve = before + after - here * 2
    between = (at > 0) & (at < grid.sides - 1) & (curve < 0)
    top = (before - after) / between.where(curve * 2, 1)
    return at.cast(np.float32) + CELL_CENTRE + between.where(top, 0)


def _refine_peaks(
    flat: Tensor, yx: tuple[Tensor, Tensor], at: Tensor, grid: Grid, window: int
) -> Tensor:
    """``refine_peaks``: points float32 (N, C, 2, M) of the cells ``at``."""
    steps = window_offsets(window)[:, :, None]  # (window², 2, 1)
    around = yx[0] + steps[:, 0], yx[1] + steps[:, 1]  # (N, C, window², M)
    y, x = _reflect(around[0], grid.h - 1), _reflect(around[1], grid.w - 1)
    weights = _read(flat, y, x, grid, len(steps))
    total = weights.sum(2).reshape(0, 0, 1, -1)
    means = [(weights * axis.cast(np.float32)).sum(2).reshape(0, 0, 1, -1) for axis in around]
    sides = grid.sides.cast(np.float32)
    points = (flat.graph.concat(means, axis=2) / total + CELL_CENTRE) / sides * sides
    finite = abs(points) <= float(np.finfo(np.float32).max)
    return finite.where(points, at.cast(np.float32) + CELL_CENTRE)


def _reflect(cells: Tensor, last: Size) -> Tensor:
    """Cells off the map, mirrored at its outermost cells (then clipped: one mirror may not do)."""
    mirrored = last - abs(last - abs(cells))
    return mirrored.maximum(0).minimum(last)


def _read(flat: Tensor, y: Tensor, x: Tensor, grid: Grid, rows: int) -> Tensor:
    """Values at cells y, x (N, C, rows, M) of maps laid flat, (N, C, h w)."""
    cells = (y * grid.w + x).reshape(0, 0, -1)
    return flat.take(2, cells).reshape(0, 0, rows, -1)
