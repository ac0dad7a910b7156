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
from posert.postprocess.peaks import Peaks
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64


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
    weights = _weigh(scores, peaks, topology, link_threshold)
    return _rank(assign(weights, 0.0), weights, scores, peaks, topology)


def _weigh(
    scores: Sequence[Float32], peaks: Peaks, topology: Topology, link_threshold: float
) -> list[Float32]:
    """K tables of weights, 0 where the score is not above the threshold."""
    by_type = np.split(peaks.scores, peaks.starts[1:])
    weighed = []
    for (a, b), table in zip(topology.links, scores, strict=True):
        weaker = np.minimum(by_type[a][:, None], by_type[b])
        weighed.append(np.where(table > np.float32(link_threshold), table * weaker, np.float32(0)))
    return weighed


def _rank(
    pairs: Sequence[Int64],
    weights: Sequence[Float32],
    scores: Sequence[Float32],
    peaks: Peaks,
    topology: Topology,
) -> Links:
    """The pairs of all link types in one list, the largest weight first."""
    ends = [np.empty((0, 2), np.int64)]
    values = [np.empty((0, 2), np.float32)]
    for link, chosen, weight, table in zip(topology.links, pairs, weights, scores, strict=True):
        a, b = chosen.T
        ends.append(chosen + peaks.starts[list(link)])
        values.append(np.stack([weight[a, b], table[a, b]], axis=1))
    joined, numbers = np.concatenate(ends), np.concatenate(values)
    order = np.argsort(-numbers[:, 0], kind="stable")
    return Links(joined[order], numbers[order, 1])


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
