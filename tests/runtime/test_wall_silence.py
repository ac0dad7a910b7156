"""A live source that falls silent is told by its tile, at any rate, until pictures come again."""

from __future__ import annotations

import pytest
from making.walls import frame, info

from posert.runtime.wall import ticks, tile
from posert.runtime.wall.face import State
from posert.runtime.wall.ticks import ClockTicks
from posert.runtime.wall.tile import Exchange, Tile


class Clock:
    """Goes on when told, and while the wall waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float) -> bool:
        self.now += timeout + 1e-6
        return False


class Watched:
    """One tile of a wall that ticks by a made-up clock."""

    def __init__(self, clock: Clock, rate: int | None) -> None:
        self._clock = clock
        exchange = Exchange()
        setattr(exchange.came, "wait", clock.wait)  # noqa: B010  mypy knows it as a method
        self.tile = Tile("camera", (160, 90), exchange, waits=False)
        if rate is not None:
            self.tile.begin(info(rate, live=True))
        self._exchange = exchange
        self._ticks = ClockTicks([self.tile], exchange)

    def sends(self, count: int, interval_s: float) -> list[str]:
        """The labels after each of some frames."""
        labels = []
        for i in range(count):
            self._clock.now += interval_s
            self.tile.show(*frame(i), 0.011)
            labels.append(self.label())
        return labels

    def label(self) -> str:
        with self._exchange.lock:
            assert self._ticks.next() is not None
            face = self.tile.face(count=True)
        return face.numbers if face.state is State.RUNNING else face.state.value

    def silent_for(self, seconds: float) -> str:
        self._clock.now += seconds
        return self.label()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ticks, "time", made)
    monkeypatch.setattr(tile, "time", made)
    return made


@pytest.mark.parametrize("rate", [25, None])
def test_one_late_frame_does_not_make_a_frozen_source_healthy(
    clock: Clock, rate: int | None
) -> None:
    camera = Watched(clock, rate)
    assert camera.sends(100, 0.04)[-1] == "25.0 fps  11 ms"
    assert camera.silent_for(1.9) != "stalled"
    assert camera.silent_for(0.2) == "stalled"
    assert camera.silent_for(2.9) == "stalled"
    assert camera.sends(1, 0.04) == ["stalled"]
    assert camera.silent_for(1.0) == "stalled"
    assert camera.silent_for(10.0) == "stalled"
    assert camera.sends(10, 0.04)[1:] == ["25.0 fps  11 ms"] * 9  # no rate is made of a gap


def test_frames_that_come_now_and_then_do_not_hide_a_frozen_source(clock: Clock) -> None:
    camera = Watched(clock, 25)
    camera.sends(100, 0.04)
    for _ in range(6):
        assert camera.silent_for(2.5) == "stalled"
        assert camera.sends(1, 2.5) == ["stalled"]


@pytest.mark.parametrize("interval_s", [0.8, 2.5, 9.0])
def test_a_source_that_is_processed_slowly_is_not_stalled(clock: Clock, interval_s: float) -> None:
    camera = Watched(clock, 25)
    camera.sends(4, interval_s)
    assert "stalled" not in camera.sends(20, interval_s)
    assert camera.silent_for(2 * interval_s) != "stalled"
    assert camera.silent_for(2 * interval_s) == "stalled"


def test_a_source_that_promises_few_frames_may_take_its_time(clock: Clock) -> None:
    camera = Watched(clock, 1)
    camera.sends(1, 1.0)
    assert camera.silent_for(2.8) != "stalled"
    assert camera.silent_for(0.3) == "stalled"
