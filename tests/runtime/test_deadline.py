"""Batches leave in time for --max-latency, and are as large as that allows."""

from __future__ import annotations

import time

import pytest

from posert.runtime.deadline import Deadline

NOW_S = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: NOW_S)


def took(deadline: Deadline, seconds: float, frames: int) -> None:
    """The first batch of a size tells nothing: the engine prepares for it."""
    deadline.took(60.0, frames)
    deadline.took(seconds, frames)


def test_without_a_deadline_a_batch_may_be_full_and_waits_a_moment() -> None:
    deadline = Deadline(None)
    took(deadline, 10.0, 8)
    assert deadline.most(NOW_S - 60, 64) == 64
    assert 0 < deadline.leave_by(NOW_S - 60, 0.0, 64) - NOW_S < 0.02


def test_a_batch_leaves_when_the_oldest_frame_would_be_late() -> None:
    deadline = Deadline(0.1)
    took(deadline, 0.08, 4)
    assert deadline.leave_by(NOW_S, 10.0, 4) == pytest.approx(NOW_S + 0.02)
    assert deadline.leave_by(NOW_S - 0.03, 10.0, 4) < NOW_S  # too late already: at once


def test_nobody_waits_until_the_next_frame_overtakes_him() -> None:
    assert Deadline(5.0).leave_by(NOW_S, 0.04, 4) == pytest.approx(NOW_S + 0.02)


def test_batches_are_as_large_as_can_be_done_in_time() -> None:
    deadline = Deadline(0.05)
    took(deadline, 0.01, 8)
    took(deadline, 0.2, 64)
    assert deadline.most(NOW_S, 64) == 63
    took(deadline, 0.1, 32)
    assert deadline.most(NOW_S, 64) == 31
    assert deadline.most(NOW_S, 4) == 4


def test_where_no_batch_is_in_time_the_most_frames_are_done() -> None:
    deadline = Deadline(0.05)
    took(deadline, 0.2, 1)
    assert deadline.most(NOW_S, 16) == 16
    assert deadline.most(None, 16) == 16  # no live frame waits


def test_what_batches_take_is_learnt_anew() -> None:
    deadline = Deadline(0.05)
    took(deadline, 1.0, 16)
    for _ in range(50):
        deadline.took(0.01, 16)
    assert deadline.most(NOW_S, 16) == 16


def test_the_first_batch_of_a_size_tells_nothing() -> None:
    deadline = Deadline(0.05)
    deadline.took(3.0, 1)
    deadline.took(3.0, 16)
    assert deadline.most(NOW_S, 16) == 16
    assert deadline.leave_by(NOW_S, 10.0, 16) == pytest.approx(NOW_S + 0.05)


def test_few_frames_never_take_longer_than_many() -> None:
    deadline = Deadline(0.05)
    took(deadline, 3.0, 1)
    took(deadline, 0.01, 16)
    took(deadline, 0.2, 64)
    assert deadline.most(NOW_S, 64) == 63


def test_a_size_that_was_slow_once_is_tried_again() -> None:
    deadline = Deadline(0.05)
    took(deadline, 0.2, 16)
    took(deadline, 0.01, 8)
    assert deadline.most(NOW_S, 16) == 15
    for _ in range(500):
        deadline.took(0.01, 8)
    assert deadline.most(NOW_S, 16) == 16
    deadline.took(0.2, 16)
    assert deadline.most(NOW_S, 16) == 15
