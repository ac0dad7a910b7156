"""Link scores in an ONNX graph: ``posert.postprocess.links`` for a batch of padded peaks.

Shapes: N batch, K link types, S samples, M most peaks of a type, h and w map cells.
"""

from __future__ import annotations

import math

import numpy as np

from posert.engine_builder.compact_peaks import Grid, PeakTensors
from posert.engine_builder.graph import Tensor
from posert.postprocess.links import AGREES, EPSILON
from posert.postprocess.parser import AGREEMENT
from posert.postprocess.peaks import CELL_CENTRE
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology


def link_tensor(
    paf: Tensor, peaks: PeakTensors, grid: Grid, topology: Topology, settings: ParserSettings
) -> Tensor:
    """Line integrals of ``paf``, float32 (N, 2K, h, w), between all peaks that a link may join.

    Returns:
        float32 (N, K, M, M), row a and column b; 0 where there is no pair.
    """
    m, samples = settings.max_peaks, settings.samples
    of_a, of_b = topology.rows[:, 2].tolist(), topology.rows[:, 3].tolist()
    points = peaks.points
    if not _may_leave(settings):  # unless NaN is beside them; not even then read off the map
        points = points.maximum(CELL_CENTRE).minimum(grid.sides.cast(np.float32) - CELL_CENTRE)
    start = _ends(points, of_a, (m, 1))
    along = [b - a for a, b in zip(start, _ends(points, of_b, (1, m)), strict=True)]
    length = (along[0] * along[0] + along[1] * along[1]).sqrt() + EPSILON
    share = np.arange(samples, dtype=np.float32)[:, None, None] / np.float32(samples - 1)
    y, x = (a + ab * share for a, ab in zip(start, along, strict=True))  # (N, K, S, M, M)
    fields = _fields(paf, topology, smooth=not settings.reference)
    dots = _dots(fields, y, x, [axis / length for axis in along], grid, settings)
    scores = dots.sum(2) / np.float32(samples)
    pairs = (_of(peaks.scores, of_a, (m, 1)) > 0) & (_of(peaks.scores, of_b, (1, m)) > 0)
    if not settings.reference:
        agreeing = (dots > float(AGREES)).cast(np.float32).sum(2)
        pairs = pairs & (agreeing >= math.ceil(AGREEMENT * samples))
    return pairs.where(scores, 0)


def _ends(points: Tensor, kinds: list[int], shape: tuple[int, int]) -> list[Tensor]:
    """y and x of the links' ends, each float32 (N, K, 1, *shape)."""
    ends = points.choose(1, kinds)  # (N, K, 2, M)
    return [ends.slice(2, axis, axis + 1).reshape(0, 0, 1, *shape) for axis in (0, 1)]


def _of(scores: Tensor, kinds: list[int], shape: tuple[int, int]) -> Tensor:
    """Scores of the peaks at the links' ends, float32 (N, K, *shape)."""
    return scores.choose(1, kinds).reshape(0, 0, *shape)


def _fields(paf: Tensor, topology: Topology, *, smooth: bool) -> Tensor:
    """Each link's y component, then its x component, laid flat: float32 (N, K, 2 h w)."""
    channels = topology.rows[:, :2].ravel().tolist()
    fields = paf if channels == list(range(len(channels))) else paf.choose(1, channels)
    if smooth:  # the mean of 3 x 3 cells, mirrored at the border as OpenCV does
        mirrored = _mirrored(_mirrored(fields, 2), 3)
        fields = paf.graph.node("AveragePool", mirrored, kernel_shape=(3, 3))
    return fields.reshape(0, len(topology.links), -1)


def _mirrored(fields: Tensor, axis: int) -> Tensor:
    """One more cell at both ends; joined, for Pad takes a tenth of the whole on a GPU."""
    before, after = fields.slice(axis, 1, 2), fields.slice(axis, -2, -1)
    return fields.graph.concat([before, fields, after], axis)


def _dots(
    fields: Tensor, y: Tensor, x: Tensor, unit: list[Tensor], grid: Grid, settings: ParserSettings
) -> Tensor:
    """The fields at y, x along the unit vectors: float32 (N, K, S, M, M), 0 off the map."""
    m = settings.max_peaks
    cells = y.cast(np.int32) * grid.w + x.cast(np.int32)
    inside = None
    if _may_leave(settings):
        inside = _inside(y, grid.sides, 0) & _inside(x, grid.sides, 1)
        cells = inside.where(cells, 0)
    of_y = cells.reshape(0, 0, -1)
    of_x = of_y + grid.h * grid.w
    y_part, x_part = (fields.take(2, at).reshape(0, 0, -1, m, m) for at in (of_y, of_x))
    dots = y_part * unit[0] + x_part * unit[1]
    return dots if inside is None else inside.where(dots, 0)


def _may_leave(settings: ParserSettings) -> bool:
    """Whether peaks of finite maps may be placed outside their cells, and so off the map."""
    return settings.reference or settings.window < 3


def _inside(coordinates: Tensor, sides: Tensor, axis: int) -> Tensor:
    """Where a coordinate, its fraction cut off, is one of a cell."""
    return (coordinates > -1) & (coordinates < sides.slice(0, axis, axis + 1).cast(np.float32))
