"""One-Euro filters: less jitter, little delay, and nothing invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from walking import people, person

from posert.postprocess.smooth import Smoother, SmoothSettings
from posert.types import Float32, People

FPS = 30


def with_ids(those: list[Float32], ids: list[int]) -> People:
    return replace(people(those), ids=np.array(ids, np.int64))


def smooth(frames: list[Float32], times: list[float] | None = None) -> Float32:
    """(F, 18, 3) of one person in F frames."""
    one = Smoother()
    times = times or [i / FPS for i in range(len(frames))]
    return np.stack(
        [one.update(with_ids([f], [1]), t).keypoints[0] for f, t in zip(frames, times, strict=True)]
    )


def noisy(frames: int, px_per_s: float = 0.0, score: float = 0.8) -> tuple[Float32, Float32]:
    """Where a person is, and where a network with 1.5 px of noise sees them; (F, 18, 3)."""
    rng = np.random.default_rng(2)
    truth = np.stack([person(100 + px_per_s * i / FPS, score=score) for i in range(frames)])
    seen = truth.copy()
    seen[:, :, :2] += rng.normal(0, 1.5, seen[:, :, :2].shape)
    return truth, seen


def error(a: Float32, b: Float32) -> float:
    return float(np.sqrt(((a - b)[30:, :, :2] ** 2).sum(axis=2).mean()))


def test_one_who_stands_jitters_less() -> None:
    truth, seen = noisy(120)
    got = smooth(list(seen))
    assert error(got, truth) < 0.6 * error(seen, truth)
    steps = [np.abs(np.diff(k[30:, :, :2], axis=0)).mean() for k in (got, seen)]
    assert steps[0] < 0.4 * steps[1]


def test_one_who_walks_is_not_left_behind() -> None:
    """120 px a second, more than a height: no further from the truth than what was seen."""
    truth, seen = noisy(120, px_per_s=120)
    got = smooth(list(seen))
    assert error(got, truth) < error(seen, truth)
    assert abs((got - truth)[30:, :, 0].mean()) < 1.5


def test_what_is_less_certain_is_smoothed_more() -> None:
    sure, unsure = (smooth(list(noisy(120, score=score)[1])) for score in (0.8, 0.1))
    truth = noisy(120)[0]
    assert error(unsure, truth) < 0.8 * error(sure, truth)


def test_nothing_is_invented_and_scores_stay() -> None:
    parts = [person(100 + i, only=range(i % 3, 18)) for i in range(30)]
    got = smooth(parts)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(np.stack(parts)))
    np.testing.assert_array_equal(got[:, :, 2], np.stack(parts)[:, :, 2])


def test_a_short_gap_goes_on_and_a_long_one_starts_anew() -> None:
    for gap_s, anew in ((0.2, False), (0.8, True)):
        times = [i / FPS for i in range(30)] + [29 / FPS + gap_s]
        got = smooth([person(100)] * 30 + [person(110)], times)
        assert (got[-1] == person(110)).all() == anew


def test_people_without_an_id_and_of_a_run_that_follows_nobody_stay_as_they_are() -> None:
    one = Smoother()
    for i, x in enumerate((100, 110, 90)):
        free = people([person(x)])
        assert one.update(free, i / FPS) is free
        got = one.update(with_ids([person(x)], [0]), i / FPS)
        np.testing.assert_array_equal(got.keypoints, free.keypoints)


def test_each_person_has_filters_of_their_own_in_whatever_order() -> None:
    """Two, listed as 2, 1 and 1, 2 in turn: each as if they were alone."""
    _, seen = noisy(40)
    alone = smooth(list(seen))
    one = Smoother()
    for i, keypoints in enumerate(seen):
        other = person(900 - 7 * i)
        those, ids = ([keypoints, other], [1, 2]) if i % 2 else ([other, keypoints], [2, 1])
        got = one.update(with_ids(those, ids), i / FPS)
        np.testing.assert_allclose(got.keypoints[ids.index(1)], alone[i], rtol=1e-6)


def test_inputs_are_never_changed() -> None:
    one = Smoother()
    for i in range(5):
        given = with_ids([person(100 + 9 * (i % 2))], [1])
        one.update(given, i / FPS)
        np.testing.assert_array_equal(given.keypoints[0], person(100 + 9 * (i % 2)))


def test_odd_times_and_people_do_no_harm() -> None:
    """Equal times, time that goes back, nobody, all missing: finite where there was something."""
    one = Smoother()
    nothing = np.full((18, 3), np.nan, np.float32)
    for time_s in (0.0, 0.0, 5.0, 1.0, 1.0, 1e6):
        got = one.update(with_ids([person(100), nothing], [3, 1]), time_s)
        np.testing.assert_array_equal(got.keypoints[0], person(100))
        assert np.isnan(got.keypoints[1]).all()
        assert len(one.update(with_ids([], []), time_s)) == 0


def test_those_who_are_gone_leave_nothing() -> None:
    one = Smoother()
    for i in range(300):
        one.update(with_ids([person(100)], [i + 1]), i / FPS)
    assert len(one._ids) <= 0.5 * FPS + 2


@pytest.mark.parametrize("name", ["min_cutoff", "d_cutoff", "gap_s"])
def test_settings_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0: expected"):
        SmoothSettings(**{name: 0})
