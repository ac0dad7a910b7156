"""Ids of people: kept while they can be followed, never given twice, nothing left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from walking import TOPOLOGY, people, person

from posert.postprocess.track import Tracker, TrackSettings, best_pairs
from posert.types import Float32, People

FPS = 30


def tracker(**settings: Any) -> Tracker:
    return Tracker(TOPOLOGY, TrackSettings(**settings))


def ids_of(tracked: People) -> list[int]:
    assert tracked.ids is not None
    return [int(i) for i in tracked.ids]


def follow(frames: list[list[Float32]], fps: float = FPS, **settings: Any) -> list[list[int]]:
    """The ids of each frame."""
    one = tracker(**settings)
    return [ids_of(one.update(people(those), i / fps)) for i, those in enumerate(frames)]


def test_a_person_has_an_id_from_the_third_frame_on() -> None:
    assert follow([[person(100 + 3 * i)] for i in range(5)]) == [[0], [0], [1], [1], [1]]


def test_as_many_frames_as_are_asked_for() -> None:
    frames = [[person(100)] for _ in range(5)]
    assert follow(frames, min_hits=1) == [[1]] * 5
    assert follow(frames, min_hits=5) == [[0]] * 4 + [[1]]


def test_everything_but_the_ids_is_as_it_was_in_the_same_order() -> None:
    one = tracker(min_hits=1)
    given = people([person(300), person(100)])
    before = given.keypoints.copy()
    got = one.update(given, 0.0)
    np.testing.assert_array_equal(got.keypoints, before)
    np.testing.assert_array_equal(got.scores, given.scores)
    np.testing.assert_array_equal(given.keypoints, before)
    assert given.ids is None
    assert ids_of(one.update(people([person(101), person(299)]), 0.03)) == [2, 1]


def test_two_who_meet_and_pass_keep_their_ids_however_they_are_listed() -> None:
    rng = np.random.default_rng(1)
    one = tracker()
    for i in range(90):
        there = [person(100 + 4 * i), person(460 - 4 * i, y=206)]
        order = rng.permutation(2)
        got = ids_of(one.update(people([there[k] for k in order]), i / FPS))
        if i >= 2:
            assert [got[list(order).index(k)] for k in range(2)] == [1, 2], i


def test_one_who_is_hidden_for_less_than_the_greatest_age_goes_on_where_expected() -> None:
    """Hidden for 0.8 s behind one who stands still."""
    frames = [
        [person(300, height=180)] + ([] if 25 <= i < 49 else [person(180 + 2 * i)])
        for i in range(70)
    ]
    ids = follow(frames)
    assert ids[10] == ids[-1] == [1, 2]
    assert ids[30] == [1]


def test_one_who_is_hidden_for_longer_is_somebody_new() -> None:
    frames = [[] if 10 <= i < 42 else [person(100)] for i in range(50)]
    ids = follow(frames)
    assert ids[9] == [1]
    assert ids[-1] == [2]
    assert follow(frames, max_age_s=2.0)[-1] == [1]


def test_one_who_appears_far_from_where_another_was_lost_is_somebody_new() -> None:
    ids = follow([[person(100)]] * 10 + [[]] * 3 + [[person(400)]] * 5)
    assert ids[-1] == [2]


def test_no_id_is_given_twice() -> None:
    """People who come and go for 500 frames."""
    frames: list[list[Float32]] = [
        [person(100 + 900 * (i // 25 % 2) + 40 * (i // 50 % 3))] for i in range(500)
    ]
    ids = [i for (i,) in follow(frames, max_age_s=0.5) if i]
    assert sorted(ids) == ids
    assert ids[-1] == 20


@pytest.mark.parametrize("fps", [10, 30, 60])
def test_the_rate_of_frames_does_not_matter(fps: int) -> None:
    """The same walk: 120 px a second for 3 s, a person 100 px tall."""
    ids = follow([[person(100 + 120 * i / fps)] for i in range(3 * fps)], fps=fps)
    assert {i for (i,) in ids[2:]} == {1}


@pytest.mark.parametrize("fps", [0.5, 2, 3])
def test_who_moves_little_has_an_id_though_frames_are_rare(fps: float) -> None:
    ids = follow([[person(100 + 15 * i)] for i in range(6)], fps=fps, max_age_s=2.5)
    assert [i for (i,) in ids] == [0, 0, 1, 1, 1, 1]


def test_part_of_a_person_is_that_person() -> None:
    legs, head = [8, 9, 10, 11, 12, 13], [0, 1, 14, 15]
    whole = [[person(100 + 2 * i)] for i in range(10)]
    parts = [[person(100 + 2 * i, only=legs)] for i in range(10, 15)]
    parts += [[person(100 + 2 * i, only=head)] for i in range(15, 20)]
    assert {i for (i,) in follow(whole + parts)[2:]} == {1}


def test_nobody_and_those_without_a_keypoint_have_no_id_and_do_no_harm() -> None:
    nothing = np.full((18, 3), np.nan, np.float32)
    one = tracker(min_hits=1)
    assert ids_of(one.update(people([]), 0.0)) == []
    assert ids_of(one.update(people([nothing, person(100)]), 0.1)) == [0, 1]
    assert ids_of(one.update(people([nothing, nothing]), 0.2)) == [0, 0]
    assert ids_of(one.update(people([person(100), nothing]), 0.3)) == [1, 0]


def test_when_time_goes_backwards_everyone_is_new() -> None:
    one = tracker(min_hits=1)
    assert ids_of(one.update(people([person(100)]), 5.0)) == [1]
    assert ids_of(one.update(people([person(100)]), 0.0)) == [2]
    assert ids_of(one.update(people([person(100)]), 0.1)) == [2]


def test_frames_of_the_same_time_and_after_a_long_pause() -> None:
    one = tracker(min_hits=1)
    for time_s in (0.0, 0.0, 0.0):
        assert ids_of(one.update(people([person(100)]), time_s)) == [1]
    assert ids_of(one.update(people([person(100)]), 3600.0)) == [2]


def test_a_hundred_people_who_all_move() -> None:
    rng = np.random.default_rng(0)
    at = np.stack(np.meshgrid(np.arange(10) * 60, np.arange(10) * 130), -1).reshape(-1, 2)
    one = tracker(min_hits=1)
    for i in range(20):
        order = rng.permutation(100)
        got = ids_of(one.update(people([person(*(at[k] + 3 * i)) for k in order]), i / FPS))
        if i == 0:
            ids = dict(zip(order.tolist(), got, strict=True))
        assert [ids[k] for k in order.tolist()] == got


def test_those_who_are_gone_leave_nothing() -> None:
    one = tracker()
    rng = np.random.default_rng(0)
    for i in range(600):
        one.update(people([person(*rng.uniform(0, 2000, 2)) for _ in range(5)]), i / FPS)
    one.update(people([]), 600 / FPS + 2)
    assert len(one._tracks) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_hits", 0), ("max_age_s", 0.0), ("max_age_s", np.nan), ("least_similarity", 1.0)],
)
def test_settings_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*: expected"):
        TrackSettings(**{name: value})  # type: ignore[arg-type]


def test_best_pairs_are_those_of_the_greatest_sum() -> None:
    table = np.array([[0.9, 0.8, 0], [0.85, 0, 0], [0, 0, 0]], np.float32)
    rows, columns = best_pairs(table)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 3)])
def test_no_pairs_where_nothing_is_alike(shape: tuple[int, int]) -> None:
    assert [len(side) for side in best_pairs(np.zeros(shape, np.float32))] == [0, 0]
