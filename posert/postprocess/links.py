"""Link scores: how well the part affinity fields support a link between two peaks."""

from __future__ import annotations

import cv2
import numpy as np

from posert.postprocess.peaks import Peaks
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64

AGREES = np.float32(0.02)  # the field runs along a link where its component is larger
EPSILON = np.float32(1e-5)  # trt_pose's guard against a link of no length


def score_links(
    paf: Float32, peaks: Peaks, topology: Topology, samples: int, agreement: float = 0.0
) -> list[Float32]:
    """Line integrals of the part affinity fields between all peaks that a link may join.

    The score is the mean over ``samples`` points from a to b, ends included, of the field's
    component along the link (Cao et al. 2017, arXiv:1611.08050, eq. 11). As in trt_pose the field
    is read at the cell a point lies in, by truncation, and points off the map count as 0.

    Args:
        paf: float32 (2K, h, w), finite.
        peaks: n peaks.
        topology: K links.
        samples: points along a link, at least 2.
        agreement: least share of the points where the field runs along the link; a link with
            fewer scores 0. It takes away long links from one person to another, which cross the
            fields of both and nothing in between.

    Returns:
        K arrays, float32 (peaks of type a, peaks of type b).
    """
    _, h, w = paf.shape
    link, a, b = all_pairs(peaks, topology)
    start = peaks.points.T[:, a]  # (2, pairs)
    along = peaks.points.T[:, b] - start
    unit = along / (np.sqrt(along[0] * along[0] + along[1] * along[1]) + EPSILON)
    at = np.arange(samples, dtype=np.float32)[:, None] / np.float32(samples - 1)
    y, x = (_truncate(start[axis] + at * along[axis]) for axis in (0, 1))  # (samples, pairs)
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    cell = np.where(inside, y * w + x, 0)
    first = topology.rows[link, :2].T * (h * w)  # the channels' first cells, y and x component
    with np.errstate(over="ignore", invalid="ignore"):  # fields near float32's end: judged below
        dot = paf.take(first[0] + cell) * unit[0] + paf.take(first[1] + cell) * unit[1]
        dot *= inside
        scores = dot.sum(axis=0) / np.float32(samples)
    agrees = (dot > AGREES).sum(axis=0) >= agreement * samples
    scores = np.where(np.isfinite(scores) & agrees, scores, np.float32(0))
    return by_link(scores, peaks, topology)


def smooth_fields(paf: Float32) -> Float32:
    """Mean of each field over 3 x 3 cells (mirrored at the border): float32 (2K, h, w).

    A link's line is then read with some width, so that a limb beside the line still counts.
    """
    return np.stack([cv2.blur(plane, (3, 3)) for plane in paf])


def all_pairs(peaks: Peaks, topology: Topology) -> tuple[Int64, Int64, Int64]:
    """Link, peak a and peak b of all pairs, link by link, b running fastest: int64 (pairs,)."""
    of_a, of_b = topology.rows[:, 2], topology.rows[:, 3]
    in_b = peaks.counts[of_b]
    in_link = peaks.counts[of_a] * in_b
    link = np.repeat(np.arange(len(in_link)), in_link)
    within = np.arange(len(link)) - np.repeat(np.cumsum(in_link) - in_link, in_link)
    row, column = np.divmod(within, in_b[link])
    return link, peaks.starts[of_a[link]] + row, peaks.starts[of_b[link]] + column


def _truncate(coordinates: Float32) -> Int64:
    with np.errstate(invalid="ignore"):  # a peak refined to 1e30 lands off the map either way
        return coordinates.astype(np.int64)


def by_link(scores: Float32, peaks: Peaks, topology: Topology) -> list[Float32]:
    """Split scores of all pairs, float32 (pairs,), into the K tables of their links."""
    shapes = peaks.counts[topology.rows[:, 2:]]  # (K, 2)
    ends = np.cumsum(shapes.prod(axis=1)).tolist()
    return [
        scores[end - a * b : end].reshape(a, b)
        for end, (a, b) in zip(ends, shapes.tolist(), strict=True)
    ]
