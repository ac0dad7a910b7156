"""Grouping: which peaks are linked, and which linked peaks are one person."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from posert.postprocess.munkres import munkres
from posert.postprocess.peaks import Peaks
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.types import Capped, Float32, Int64, People

Solver: TypeAlias = Callable[[Float32], tuple[Int64, Int64]]  # table -> rows, columns of its pairs

_TIE = np.float32(1e-5)  # sums of scores this close may be ordered by rounding alone


def assign(
    scores: Sequence[Float32], link_threshold: float, *, reference: bool = False
) -> list[Int64]:
    """Per link, the one-to-one pairing of its peaks that has the largest sum of scores.

    Args:
        scores: K arrays, float32 (peaks of type a, peaks of type b), finite.
        link_threshold: a pair survives if its score is larger.
        reference: of equally good pairings take the one that trt_pose's parser takes.

    Returns:
        K arrays, int64 (pairs, 2): index of a and of b among the peaks of their types.
    """
    threshold = np.float32(link_threshold)
    solve = partial(_solve_as_trt_pose, threshold=threshold) if reference else _solve
    return [_best_pairs(table, threshold, solve) for table in scores]


def connect(pairs: Sequence[Int64], peaks: Peaks, topology: Topology) -> Int64:
    """People as connected peaks, the way trt_pose connects them.

    Breadth-first from each peak not yet visited, in type order; a peak without links is a person
    too. When a type comes up twice the peak visited later replaces the earlier one, which is lost.

    Returns:
        int64 (P, C): index of the peak, -1 where missing.
    """
    neighbours = _neighbours(pairs, peaks, topology)
    kinds = peaks.kinds.tolist()
    visited = [False] * len(kinds)
    people = []
    for first in range(len(kinds)):
        if visited[first]:
            continue
        person = [-1] * len(peaks.counts)
        queue = deque([first])
        while queue:
            peak = queue.popleft()
            if not visited[peak]:
                visited[peak] = True
                person[kinds[peak]] = peak
                queue.extend(neighbours[peak])
        people.append(person)
    return np.array(people, np.int64).reshape(-1, len(peaks.counts))


def assemble(members: Int64, scores: Float32, peaks: Peaks, settings: ParserSettings) -> People:
    """Keypoints in map cells of the people of enough parts and score, the first up to the cap.

    Args:
        members: int64 (P, C), index of the peak or -1.
        scores: float32 (P,) person scores.
        peaks: n peaks.
        settings: min_parts, min_score and max_people; people beyond that are counted.
    """
    found = (members >= 0).sum(axis=1)
    enough = (found >= settings.min_parts) & (scores >= np.float32(settings.min_score))
    counted = np.flatnonzero(enough)
    kept = counted[: settings.max_people]
    rows = np.concatenate([peaks.points[:, ::-1], peaks.scores[:, None]], axis=1)
    missing = np.full((1, 3), np.nan, np.float32)
    keypoints = np.concatenate([rows, missing])[members[kept]]  # -1 is the last row
    capped = Capped(peaks=peaks.left_out, people=len(counted) - len(kept))
    return People(keypoints, scores[kept], capped)


def mean_confidence(members: Int64, peaks: Peaks) -> Float32:
    """Sum of a person's peak scores divided by C, the reference's person score: float32 (P,)."""
    confidences = np.append(peaks.scores, np.float32(0))[members]  # -1 is the last one
    total: Float32 = confidences.sum(axis=1)
    return total / np.float32(members.shape[1])


def _best_pairs(table: Float32, threshold: np.float32, solve: Solver) -> Int64:
    if not (table > threshold).any():
        return np.empty((0, 2), np.int64)
    rows, columns = solve(table)
    linked = table[rows, columns] > threshold
    return np.stack([rows[linked], columns[linked]], axis=1)


def _solve(table: Float32) -> tuple[Int64, Int64]:
    rows, columns = linear_sum_assignment(table, maximize=True)
    return rows, columns


def _solve_as_trt_pose(table: Float32, threshold: np.float32) -> tuple[Int64, Int64]:
    """SciPy's solution, or Munkres' where exchanging two pairs would be as good.

    Only exchanges that touch a score above the threshold matter.
    """
    square = np.zeros((max(table.shape),) * 2, np.float32)
    square[: table.shape[0], : table.shape[1]] = table
    rows, columns = _solve(square)
    turned = square[:, columns]  # the pairs are its diagonal
    kept = turned.diagonal()
    loss = kept[:, None] + kept - turned - turned.T
    np.fill_diagonal(loss, np.inf)
    largest = np.maximum(np.maximum(turned, turned.T), np.maximum(kept[:, None], kept))
    if ((loss <= _TIE) & (largest > threshold)).any():
        return munkres(table)
    real = (rows < table.shape[0]) & (columns < table.shape[1])
    return rows[real], columns[real]


def _neighbours(pairs: Sequence[Int64], peaks: Peaks, topology: Topology) -> list[list[int]]:
    """Peaks linked to each peak, in link order."""
    neighbours: list[list[int]] = [[] for _ in peaks.kinds]
    for (kind_a, kind_b), linked in zip(topology.links, pairs, strict=True):
        for a, b in (linked + peaks.starts[[kind_a, kind_b]]).tolist():
            neighbours[a].append(b)
            neighbours[b].append(a)
    return neighbours
