"""Back-off, the clock of a stream, and the pace of one that comes in pieces."""

from __future__ import annotations

import itertools

import pytest

from posert.runtime.sources.backoff import Backoff
from posert.runtime.sources.pace import Pace
from posert.runtime.sources.stream_clock import StreamClock


def test_waits_grow_to_a_second_and_begin_anew() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    assert [backoff.wait_s() for _ in range(5)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    backoff.reset()
    assert backoff.wait_s() == 0.25


def test_chance_shortens_a_wait_by_up_to_a_quarter() -> None:
    assert Backoff(chance=lambda: 1.0).wait_s() == pytest.approx(0.1875)


def test_without_a_clock_arrival_counts() -> None:
    clock = StreamClock()
    assert [clock.ticks(None, 50 + t) for t in (0, 0.5, 0.5)] == [0, 500_000, 500_001]


def test_jitter_of_arrival_does_not_show() -> None:
    clock, late = StreamClock(), (0, 0.1, 0.02, 0.3, 0)
    ticks = [clock.ticks(9 + i / 25, 50 + i / 25 + late[i % 5]) for i in range(100)]
    spaces = [b - a for a, b in itertools.pairwise(ticks)]
    assert spaces == pytest.approx([40_000] * 99, abs=400)


def test_a_clock_that_jumps_or_begins_anew_is_laid_onto_the_time_of_arrival() -> None:
    clock = StreamClock()
    clock.ticks(100.0, 50.0)
    assert clock.ticks(7000.0, 50.1) == pytest.approx(100_000, abs=10)
    clock.reconnected()
    assert clock.ticks(7000.2, 60.0) == pytest.approx(10_000_000, abs=10)


def test_drift_is_followed() -> None:
    clock, ticks = StreamClock(), 0
    for i in range(200_000):  # an hour and more at 50 frames/s, 0.1% too slow
        ticks = clock.ticks(i / 50 * 0.999, i / 50)
    assert ticks / 1e6 == pytest.approx(199_999 / 50, abs=0.1)


def test_pictures_of_a_piece_are_held_back_until_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace, now, waits = Pace(), [1000.0], []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        now[0] += seconds
        return False

    monkeypatch.setattr("posert.runtime.sources.pace.time.monotonic", lambda: now[0])
    monkeypatch.setattr(pace, "_over", type("Over", (), {"wait": staticmethod(wait)}))
    for clock_s in (5.0, 5.04, 5.08, 999.0, 999.04):
        pace.wait(clock_s)
    assert waits == pytest.approx([0, 0.04, 0.04, 0, 0.04])
