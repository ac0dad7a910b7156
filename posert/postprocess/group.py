"""Grouping: which peaks are linked, and which linked peaks are one person."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from posert.postprocess.links import Pairs
from posert.postprocess.munkres import munkres
from posert.postprocess.peaks import Mask, Peaks, count_up
from posert.postprocess.settings import ParserSettings
from posert.types import Capped, Float32, Int64, People

_TIE = np.float32(1e-5)  # sums of scores this close may be ordered by rounding alone


def assign(
    pairs: Pairs, scores: Float32, link_threshold: float, *, reference: bool = False
) -> Int64:
    """Per table, the one-to-one pairing of its peaks that has the largest sum of scores.

    Args:
        pairs: n pairs of peaks.
        scores: float32 (n,), finite.
        link_threshold: a pair survives if its score is larger.
        reference: of equally good pairings take the one that trt_pose's parser takes.

    Returns:
        Which of the pairs are chosen, int64, ascending.
    """
    threshold = np.float32(link_threshold)
    above = scores > threshold
    any_above = np.zeros(len(pairs.shapes), bool)
    any_above[pairs.tables[above]] = True
    linked = np.flatnonzero(any_above)  # of the other tables no pair would survive
    if not len(linked):
        return linked
    if reference:
        solved = _solve_as_trt_pose(pairs.tables_of(scores, linked), threshold)
    else:  # SciPy computes in float64: better all at once than table by table
        tables = pairs.tables_of(scores.astype(np.float64), linked)
        solved = [linear_sum_assignment(table, maximize=True) for table in tables]
    rows, columns = (np.concatenate(side) for side in zip(*solved, strict=True))
    chosen = pairs.at(np.repeat(linked, [len(each) for each, _ in solved]), rows, columns)
    return chosen[above[chosen]]


def connect(links: Int64, peaks: Peaks) -> Int64:
    """People as connected peaks, the way trt_pose connects them.

    Breadth-first from each peak not yet visited, in type order; a peak without links is a person
    too. When a type comes up twice the peak visited later replaces the earlier one, which is lost.

    Args:
        links: int64 (links, 2), the peaks they join, table by table.
        peaks: n peaks.

    Returns:
        int64 (P, C): index of the peak, -1 where missing.
    """
    kinds = peaks.kinds.tolist()
    neighbours: list[list[int]] = [[] for _ in kinds]
    for a, b in links.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    visited = [False] * len(kinds)
    people = []
    for first in range(len(kinds)):
        if visited[first]:
            continue
        person = [-1] * peaks.types
        queue = deque([first])
        while queue:
            peak = queue.popleft()
            if not visited[peak]:
                visited[peak] = True
                person[kinds[peak]] = peak
                queue.extend(neighbours[peak])
        people.append(person)
    return np.array(people, np.int64).reshape(-1, peaks.types)


def assemble(
    members: Int64, scores: Float32, peaks: Peaks, settings: ParserSettings
) -> list[People]:
    """Keypoints in map cells of the people of enough parts and score, the first up to the cap.

    Args:
        members: int64 (P, C), index of the peak or -1; picture by picture.
        scores: float32 (P,) person scores.
        peaks: n peaks of N pictures.
        settings: min_parts, min_score and max_people; people beyond that are counted.

    Returns:
        The people of each picture, N.
    """
    found = (members >= 0).sum(axis=1)
    enough = (found >= settings.min_parts) & (scores >= np.float32(settings.min_score))
    members, scores = members[enough], scores[enough]
    counts = np.bincount(picture_of(members, peaks), minlength=len(peaks.left_out))
    within = count_up(counts) < settings.max_people
    members, scores = members[within], scores[within]
    rows = np.concatenate([peaks.points[:, ::-1], peaks.scores[:, None]], axis=1)
    missing = np.full((1, 3), np.nan, np.float32)
    keypoints = np.concatenate([rows, missing])[members]  # -1 is the last row
    kept = np.minimum(counts, settings.max_people)
    ends, beyond = np.cumsum(kept), counts - kept
    return [
        People(keypoints[begin:end], scores[begin:end], Capped(left_out, people))
        for begin, end, left_out, people in zip(
            (ends - kept).tolist(), ends.tolist(), peaks.left_out, beyond.tolist(), strict=True
        )
    ]


def picture_of(members: Int64, peaks: Peaks) -> Int64:
    """The picture of each person (P, C), int64 (P,)."""
    pictures: Int64 = peaks.pictures()[members.max(axis=1)]
    return pictures


def mean_confidence(members: Int64, peaks: Peaks) -> Float32:
    """Sum of a person's peak scores divided by C, the reference's person score: float32 (P,)."""
    confidences = np.append(peaks.scores, np.float32(0))[members]  # -1 is the last one
    total: Float32 = confidences.sum(axis=1)
    return total / np.float32(members.shape[1])


def _solve_as_trt_pose(
    tables: Sequence[Float32], threshold: np.float32
) -> list[tuple[Int64, Int64]]:
    """SciPy's solutions, or Munkres' where exchanging two pairs would be as good.

    Only exchanges that touch a score above the threshold matter.
    """
    sides = np.array([max(table.shape) for table in tables])
    squares = np.zeros((len(tables), sides.max(), sides.max()), np.float32)
    columns = np.tile(np.arange(sides.max()), (len(tables), 1))
    for number, (table, side) in enumerate(zip(tables, sides.tolist(), strict=True)):
        squares[number, : table.shape[0], : table.shape[1]] = table
        square = squares[number, :side, :side]
        _, columns[number, :side] = linear_sum_assignment(square, maximize=True)
    solved = []
    for table, tied, partners in zip(
        tables, _tied(squares, columns, sides, threshold).tolist(), columns, strict=True
    ):
        rows = np.flatnonzero(partners[: table.shape[0]] < table.shape[1])
        solved.append(munkres(table) if tied else (rows, partners[rows]))
    return solved


def _tied(squares: Float32, columns: Int64, sides: Int64, threshold: np.float32) -> Mask:
    """Whether exchanging two of a square's pairs would be as good: bool (tables,)."""
    turned = np.take_along_axis(squares, columns[:, None], axis=2)  # the pairs are the diagonals
    mirrored = turned.swapaxes(1, 2)
    kept = turned.diagonal(axis1=1, axis2=2)
    one, other = kept[:, :, None], kept[:, None]
    loss = one + other - turned - mirrored
    largest = np.maximum(np.maximum(turned, mirrored), np.maximum(one, other))
    place = np.arange(columns.shape[1])
    real = place < sides[:, None]
    two = real[:, :, None] & real[:, None] & (place[:, None] != place)
    tied: Mask = ((loss <= _TIE) & (largest > threshold) & two).any(axis=(1, 2))
    return tied
