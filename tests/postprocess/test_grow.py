"""People grow along their strongest links and never swallow each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posert.postprocess.grow import Links, choose_links, grow_people
from posert.postprocess.links import all_pairs
from posert.postprocess.peaks import Peaks
from posert.postprocess.topology import Topology

CHAIN = Topology("chain", ("a", "b", "c"), ((0, 1), (1, 2)), ((0, 1), (2, 3)))


def peaks_of(kinds: Sequence[int], scores: Sequence[float] | None = None) -> Peaks:
    """Peaks of the chain's types, somewhere."""
    return Peaks(
        kinds=np.array(kinds, np.int64),
        cells=np.zeros((len(kinds), 2), np.int64),
        points=np.zeros((len(kinds), 2), np.float32),
        scores=np.array(scores or [1] * len(kinds), np.float32),
        starts=np.searchsorted(kinds, range(4)).astype(np.int64),
    )


def links_of(*links: tuple[int, int, float]) -> Links:
    return Links(
        np.array([link[:2] for link in links], np.int64).reshape(-1, 2),
        np.array([link[2] for link in links], np.float32),
    )


def test_a_link_between_two_people_is_refused_and_both_keep_their_keypoints() -> None:
    peaks = peaks_of([0, 0, 1, 1, 2, 2])
    links = links_of((0, 2, 0.9), (1, 3, 0.9), (2, 4, 0.8), (2, 5, 0.7), (3, 5, 0.6))
    members, support = grow_people(links, peaks)
    np.testing.assert_array_equal(members, [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_allclose(support, [1.7, 1.5], rtol=1e-6)


def test_links_within_a_person_add_to_its_support() -> None:
    members, support = grow_people(
        links_of((0, 1, 0.5), (1, 2, 0.4), (0, 2, 0.3)), peaks_of([0, 1, 2])
    )
    np.testing.assert_array_equal(members, [[0, 1, 2]])
    np.testing.assert_allclose(support, [1.2], rtol=1e-6)


def test_peaks_without_links_are_people_without_support() -> None:
    members, support = grow_people(links_of(), peaks_of([0, 2]))
    np.testing.assert_array_equal(members, [[0, -1, -1], [-1, -1, 1]])
    np.testing.assert_array_equal(support, [0, 0])


def test_no_peaks_are_no_people() -> None:
    members, support = grow_people(links_of(), peaks_of([]))
    assert members.shape == (0, 3)
    assert support.shape == (0,)


def test_a_faint_peak_does_not_take_the_place_of_a_strong_one() -> None:
    peaks = peaks_of([0, 1, 1, 2], scores=[1, 0.2, 0.9, 1])
    scores = np.array([0.9, 0.5, 0.1, 0.6], np.float32)  # a to either b, then those to c
    links = choose_links(all_pairs(peaks, CHAIN), scores, peaks, 0.1)
    np.testing.assert_array_equal(links.peaks, [[2, 3], [0, 2]])  # weights 0.54 and 0.45; not 0.18
    np.testing.assert_allclose(links.scores, [0.6, 0.5], rtol=1e-6)
