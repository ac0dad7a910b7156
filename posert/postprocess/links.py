"""Link scores: how well the part affinity fields support a link between two peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from posert.postprocess.peaks import Peaks, count_up
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64

Floats = TypeVar("Floats", Float32, npt.NDArray[np.float64])

AGREES = np.float32(0.02)  # the field runs along a link where its component is larger
EPSILON = np.float32(1e-5)  # trt_pose's guard against a link of no length


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """All n pairs of peaks that a link may join, one table after the other, row-major.

    Link k of picture p has the table p * K + k; a peak of type a is a row, one of b a column.
    """

    tables: Int64  # (n,) table of the pair
    a: Int64  # (n,) its peaks
    b: Int64
    shapes: Int64  # (N * K, 2) rows and columns of each table

    def tables_of(self, values: Floats, wanted: Int64) -> list[Floats]:
        """``values`` of all pairs, (n,), as the ``wanted`` tables, (rows, columns)."""
        shapes, begins = self.shapes[wanted], self._begins[wanted]
        return [
            values[begin : begin + rows * columns].reshape(rows, columns)
            for begin, (rows, columns) in zip(begins.tolist(), shapes.tolist(), strict=True)
        ]

    def at(self, tables: Int64, rows: Int64, columns: Int64) -> Int64:
        """Which pairs are in these places of these tables: int64 like them."""
        places: Int64 = self._begins[tables] + rows * self.shapes[tables, 1] + columns
        return places

    @property
    def _begins(self) -> Int64:
        in_table = self.shapes[:, 0] * self.shapes[:, 1]
        begins: Int64 = np.cumsum(in_table) - in_table
        return begins


def score_links(
    paf: Float32,
    peaks: Peaks,
    pairs: Pairs,
    topology: Topology,
    samples: int,
    agreement: float = 0.0,
) -> Float32:
    """Line integrals of one picture's part affinity fields between the peaks of all pairs.

    The score is the mean over ``samples`` points from a to b, ends included, of the field's
    component along the link (Cao et al. 2017, arXiv:1611.08050, eq. 11). As in trt_pose the field
    is read at the cell a point lies in, by truncation, and points off the map count as 0.

    Args:
        paf: float32 (2K, h, w), finite.
        peaks: those of the picture.
        pairs: n pairs of them.
        topology: K links.
        samples: points along a link, at least 2.
        agreement: least share of the points where the field runs along the link; a link with
            fewer scores 0. It takes away long links from one person to another, which cross the
            fields of both and nothing in between.

    Returns:
        float32 (n,), finite.
    """
    _, h, w = paf.shape
    start = peaks.points.T[:, pairs.a]  # (2, pairs)
    along = peaks.points.T[:, pairs.b] - start
    unit = along / (np.sqrt(along[0] * along[0] + along[1] * along[1]) + EPSILON)
    at = np.arange(samples, dtype=np.float32)[:, None] / np.float32(samples - 1)
    y, x = (_truncate(start[axis] + at * along[axis]) for axis in (0, 1))  # (samples, pairs)
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    cell = np.where(inside, y * w + x, 0)
    channels = topology.rows[pairs.tables, :2].T  # y and x component
    first = channels * (h * w)  # their first cells
    with np.errstate(over="ignore", invalid="ignore"):  # fields near float32's end: judged below
        dot = paf.take(first[0] + cell) * unit[0] + paf.take(first[1] + cell) * unit[1]
        dot *= inside
        scores = dot.sum(axis=0) / np.float32(samples)
    agrees = (dot > AGREES).sum(axis=0) >= agreement * samples
    return np.where(np.isfinite(scores) & agrees, scores, np.float32(0))


def smooth_fields(paf: Float32) -> Float32:
    """Mean of each field over 3 x 3 cells (mirrored at the border): float32 (2K, h, w).

    A link's line is then read with some width, so that a limb beside the line still counts.
    """
    return np.stack([cv2.blur(plane, (3, 3)) for plane in paf])


def all_pairs(peaks: Peaks, topology: Topology) -> Pairs:
    """All pairs of peaks that a link may join, in each picture."""
    firsts = peaks.types * np.arange(len(peaks.left_out))  # type 0 of each picture
    ends = (firsts[:, None, None] + topology.rows[:, 2:]).reshape(-1, 2)  # types a and b, by table
    shapes = peaks.counts[ends]
    in_table = shapes[:, 0] * shapes[:, 1]
    tables = np.repeat(np.arange(len(in_table)), in_table)
    rows, columns = np.divmod(count_up(in_table), shapes[tables, 1])
    starts = peaks.starts[ends]
    return Pairs(tables, starts[tables, 0] + rows, starts[tables, 1] + columns, shapes)


def _truncate(coordinates: Float32) -> Int64:
    with np.errstate(invalid="ignore"):  # a peak refined to 1e30 lands off the map either way
        return coordinates.astype(np.int64)
