"""When a wall shows its next picture: by the sources' own time, or on the clock."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Protocol

from posert.runtime.wall.tile import Exchange, Tile

log = logging.getLogger(__name__)

_DEFAULT_RATE: Final = Fraction(25)
_MOST_RATE: Final = Fraction(30)
_LEAST_RATE: Final = Fraction(1)  # of a wall: states are told in time
_POLL_S: Final = 0.1
_HELD_S: Final = 5.0  # by a source that sends nothing, while others wait for it
_LONGEST_GAP_S: Final = 1.0  # in which no source has a frame; longer ones are leapt over
_STALLED_S: Final = 2.0  # without a frame of a live source
_MOST_SILENT_S: Final = 30.0  # that a source may be which is processed far below its own rate
_SAME_S: Final = 1e-4  # times of two sources are one, so near they are


class Ticks(Protocol):
    """Counts the frames of a wall. What it needs of the tiles it does under their lock."""

    rate: Fraction  # frames a second; known from the first tick on
    skipped: int  # ticks left out because writing took too long

    def next(self) -> int | None:
        """The number of the wall's next frame, all tiles made ready for it; None at the end."""
        ...


class MediaTicks:
    """Of files: what a wall shows at a time is, of each source, its newest frame until then.

    Each tick waits for all sources, however fast each is, so the same files give the same wall.
    """

    def __init__(self, tiles: Sequence[Tile], exchange: Exchange) -> None:
        self.rate = _DEFAULT_RATE
        self.skipped = 0
        self._tiles = tiles
        self._exchange = exchange
        self._first_s: float | None = None  # time of tick 0
        self._tick = 0

    def next(self) -> int | None:
        """The next tick, once each source that has not ended has a frame at its time or later."""
        if self._first_s is None and not self._begin():
            return None
        if not self._wait_for(self._time_s(self._tick)):
            return None
        self._tick = self._leapt()
        time_s = self._time_s(self._tick)
        if not self._wait_for(time_s) or all(tile.is_done(time_s) for tile in self._tiles):
            return None
        for tile in self._tiles:
            tile.settle(over=tile.is_done(time_s), stalled=tile.passed)
        self._tick += 1
        return self._tick - 1

    def _begin(self) -> bool:
        """Waits for the first frames, the earliest of which is shown at tick 0."""
        if not self._wait_for(-math.inf):
            return False
        first = [tile.next_s for tile in self._tiles if tile.next_s is not None]
        if not first:
            return False
        self._first_s = min(first)
        self.rate = wall_rate(self._tiles)
        return True

    def _time_s(self, tick: int) -> float:
        return (self._first_s or 0.0) + float(tick / self.rate) + _SAME_S

    def _wait_for(self, time_s: float) -> bool:
        """Waits until no source can have another frame up to ``time_s``; False when all is over."""
        while not self._exchange.over:
            for tile in self._tiles:
                tile.advance(time_s)
            late = [t for t in self._tiles if not t.passed and not self._knows(t, time_s)]
            if not late:
                return True
            if not self._exchange.came.wait(_POLL_S):
                self._pass_over(late)
        return False

    def _knows(self, tile: Tile, time_s: float) -> bool:
        if self._first_s is None:
            return tile.ended or tile.next_s is not None
        return tile.knows(time_s - 2 * _SAME_S)

    def _pass_over(self, late: list[Tile]) -> None:
        """Goes on without those that hold up others: a file may hang for ever."""
        silent_s = time.monotonic() - max(tile.recent.last_s for tile in self._tiles)
        if silent_s < _HELD_S or not any(tile.is_blocked for tile in self._tiles):
            return
        for tile in late:
            tile.passed = True
            log.warning(
                "%s sent nothing for %.0f s: the wall goes on without it", tile.name, silent_s
            )

    def _leapt(self) -> int:
        """The next tick; that of the next frame where no source has one until then, for long."""
        soonest = [tile.next_s for tile in self._tiles if not (tile.ended and tile.next_s is None)]
        if any(tile.is_fresh for tile in self._tiles) or not soonest or None in soonest:
            return self._tick
        gap_s = min(s for s in soonest if s is not None) - self._time_s(self._tick - 1)
        if gap_s <= _LONGEST_GAP_S:
            return self._tick
        return self._tick - 1 + math.ceil((gap_s - _SAME_S) * self.rate)


class ClockTicks:
    """Of live sources: so many frames a second, whatever came; none waits for another."""

    def __init__(self, tiles: Sequence[Tile], exchange: Exchange) -> None:
        self.rate = _DEFAULT_RATE
        self.skipped = 0
        self._tiles = tiles
        self._exchange = exchange
        self._began_s: float | None = None
        self._tick = 0
        self._is_last = False

    def next(self) -> int | None:
        """The tick whose time has come; begins with the first frame, ends when all have ended."""
        if self._is_last or not (self._begin() and self._wait_for(self._tick)):
            return None
        now_s = time.monotonic()
        tick = max(self._tick, math.floor((now_s - (self._began_s or now_s)) * self.rate))
        self.skipped += tick - self._tick
        self._tick = tick + 1
        for tile in self._tiles:
            tile.settle(over=tile.ended, stalled=_is_silent(tile, now_s))
        return tick

    def _begin(self) -> bool:
        while self._began_s is None:
            if self._exchange.over or all(tile.ended for tile in self._tiles):
                return False
            if any(tile.recent.last_s > -math.inf for tile in self._tiles):
                self.rate = wall_rate(self._tiles)
                self._began_s = time.monotonic()
            else:
                self._exchange.came.wait(_POLL_S)
        return True

    def _wait_for(self, tick: int) -> bool:
        """Waits for the time of ``tick``, or for the end of all, which is shown at once."""
        due_s = (self._began_s or 0.0) + float(tick / self.rate)
        while not self._exchange.over:
            self._is_last = all(tile.ended for tile in self._tiles)  # also where it is late
            left_s = due_s - time.monotonic()
            if self._is_last or left_s <= 0:
                return True
            self._exchange.came.wait(left_s)
        return False


def wall_rate(tiles: Sequence[Tile]) -> Fraction:
    """Frames a second of a wall: those of its fastest source, 1 to 30."""
    known = [tile.rate for tile in tiles if tile.rate is not None]
    return min(_MOST_RATE, max(_LEAST_RATE, max(known, default=_DEFAULT_RATE)))


def _is_silent(tile: Tile, now_s: float) -> bool:
    """Whether a live source sends nothing, though it did before."""
    silent_s = now_s - tile.recent.last_s
    if tile.recent.last_s == -math.inf or silent_s <= _STALLED_S:
        return False
    promised_s = float(1 / tile.rate) if tile.rate else 0.0
    return silent_s > max(3 * promised_s, min(3 * tile.recent.usual_s, _MOST_SILENT_S))
