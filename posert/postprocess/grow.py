"""PoseRT's own grouping: people grow along their strongest links and never swallow each other.

trt_pose settles each link type alone and then joins whatever is connected, so that one wrong link
makes one person of two and costs a keypoint of each. Here the pairs that the assignment leaves
compete in one list, as in Cao et al. 2017 (arXiv:1611.08050, section 2.4) within a type, and a
link that would give a person two keypoints of one type is refused: both stay people of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posert.postprocess.group import assign
from posert.postprocess.links import Pairs
from posert.postprocess.peaks import Peaks
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


def choose_links(pairs: Pairs, scores: Float32, peaks: Peaks, link_threshold: float) -> Links:
    """Pair the peaks of each link type one to one, and sort all pairs by their weight.

    A pair's weight is its score times that of its weaker peak: this keeps a faint peak that
    happens to lie along a limb from taking the place of the limb's true end.

    Args:
        pairs: n pairs of the peaks.
        scores: float32 (n,), their link scores.
        peaks: all peaks.
        link_threshold: a link is a candidate if its score is larger.
    """
    weaker = np.minimum(peaks.scores[pairs.a], peaks.scores[pairs.b])
    weights = np.minimum(scores, _MOST) * np.minimum(weaker, _MOST)
    weights = np.rint(weights / _STEP) * _STEP
    weights = np.where(scores > np.float32(link_threshold), weights, np.float32(0))
    chosen = assign(pairs, weights, 0.0)
    chosen = chosen[np.argsort(-weights[chosen], kind="stable")]
    return Links(np.stack([pairs.a[chosen], pairs.b[chosen]], axis=1), scores[chosen])


def grow_people(links: Links, peaks: Peaks) -> tuple[Int64, Float32]:
    """Join peaks along the links, the strongest first, unless two of one type would meet.

    Returns:
        People, int64 (P, C), index of the peak or -1 where missing, and their support, float32
        (P,), the sum of the scores of the links between their peaks. A peak without links is a
        person of support 0. They are in the order of the peaks they grew from.
    """
    joined_to = list(range(len(peaks.kinds)))  # a peak of the same person, or itself: its first
    types = [1 << kind for kind in peaks.kinds.tolist()]  # those a person has, as bits
    support = [0.0] * len(types)
    a, b = links.peaks.T.tolist()
    for one, other, score in zip(a, b, links.scores.tolist(), strict=True):
        while joined_to[one] != one:
            one = joined_to[one]
        while joined_to[other] != other:
            other = joined_to[other]
        if one == other:
            support[one] += score
        elif not types[one] & types[other]:
            joined_to[other] = one
            types[one] |= types[other]
            support[one] += support[other] + score
    first_of = _follow(np.array(joined_to, np.int64))
    every = np.arange(len(first_of))
    is_first = first_of == every
    members = np.full((is_first.sum(), peaks.types), -1, np.int64)
    members[(np.cumsum(is_first) - 1)[first_of], peaks.kinds] = every
    return members, np.array(support, np.float32)[is_first]


def _follow(joined_to: Int64) -> Int64:
    """The first peak of each peak's person, int64 (n,)."""
    beyond = joined_to[joined_to]
    while (beyond != joined_to).any():
        joined_to, beyond = beyond, beyond[beyond]
    return joined_to
