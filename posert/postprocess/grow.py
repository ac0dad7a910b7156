"""PoseRT's own grouping: people grow along their strongest links and never swallow each other.

trt_pose settles each link type alone and then joins whatever is connected, so that one wrong link
makes one person of two and costs a keypoint of each. Here the pairs that the assignment leaves
compete in one list, as in Cao et al. 2017 (arXiv:1611.08050, section 2.4) within a type, and a
link that would give a person two keypoints of one type is refused: both stay people of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posert.postprocess.group import assign
from posert.postprocess.links import all_pairs, by_link
from posert.postprocess.peaks import Peaks
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64

# Weights are whole steps: two equal cells side by side are two peaks at one point, and which of
# them is linked must not hang on the last bit of a score, which differs between backends.
_STEP = np.float32(2**-16)
_MOST = np.float32(2**40)  # of a score and a peak, so that their weight in steps is finite


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Candidate links, the strongest first."""

    peaks: Int64  # (n, 2) indices of peaks a and b
    scores: Float32  # (n,) link scores


def choose_links(
    scores: Sequence[Float32], peaks: Peaks, topology: Topology, link_threshold: float
) -> Links:
    """Pair the peaks of each link type one to one, and sort all pairs by their weight.

    A pair's weight is its score times that of its weaker peak: this keeps a faint peak that
    happens to lie along a limb from taking the place of the limb's true end.

    Args:
        scores: K arrays, float32 (peaks of type a, peaks of type b).
        peaks: n peaks.
        topology: K links.
        link_threshold: a link is a candidate if its score is larger.
    """
    if not topology.links:
        return Links(np.empty((0, 2), np.int64), np.empty(0, np.float32))
    weights = _weigh(scores, peaks, topology, link_threshold)
    pairs = assign(weights, 0.0)
    link = np.repeat(np.arange(len(pairs)), [len(chosen) for chosen in pairs])
    ends = np.concatenate(pairs) + peaks.starts[topology.rows[link, 2:]]
    order = np.argsort(-_at(weights, pairs), kind="stable")
    return Links(ends[order], _at(scores, pairs)[order])


def _weigh(
    scores: Sequence[Float32], peaks: Peaks, topology: Topology, link_threshold: float
) -> list[Float32]:
    """K tables of weights in steps, 0 where the score is not above the threshold."""
    _, a, b = all_pairs(peaks, topology)
    flat = np.concatenate([table.ravel() for table in scores])
    weaker = np.minimum(peaks.scores[a], peaks.scores[b])
    weights = np.minimum(flat, _MOST) * np.minimum(weaker, _MOST)
    weights = np.rint(weights / _STEP) * _STEP
    linked = np.where(flat > np.float32(link_threshold), weights, np.float32(0))
    return by_link(linked, peaks, topology)


def _at(tables: Sequence[Float32], pairs: Sequence[Int64]) -> Float32:
    """The tables' values of the pairs, one table after the other: float32 (n,)."""
    return np.concatenate(
        [table[at[:, 0], at[:, 1]] for table, at in zip(tables, pairs, strict=True)]
    )


def grow_people(links: Links, peaks: Peaks) -> tuple[Int64, Float32]:
    """Join peaks along the links, the strongest first, unless two of one type would meet.

    Returns:
        People, int64 (P, C), index of the peak or -1 where missing, and their support, float32
        (P,), the sum of the scores of the links between their peaks. A peak without links is a
        person of support 0.
    """
    person_of = list(range(len(peaks.kinds)))
    members = [[peak] for peak in person_of]
    types = [1 << kind for kind in peaks.kinds.tolist()]  # those a person has, as bits
    support = [0.0] * len(members)
    a, b = links.peaks.T.tolist()
    for peak_a, peak_b, score in zip(a, b, links.scores.tolist(), strict=True):
        one, other = person_of[peak_a], person_of[peak_b]
        if one == other:
            support[one] += score
        elif not types[one] & types[other]:
            for peak in members[other]:
                person_of[peak] = one
            members[one] += members[other]
            types[one] |= types[other]
            support[one] += support[other] + score
    alive = np.unique(np.array(person_of, np.int64))
    table = np.full((len(alive), len(peaks.counts)), -1, np.int64)
    table[np.searchsorted(alive, person_of), peaks.kinds] = np.arange(len(person_of))
    return table, np.array(support, np.float32)[alive]
