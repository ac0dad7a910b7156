"""The time of live frames: the stream's own clock as far as it can be trusted."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

TIME_BASE: Final = Fraction(1, 1_000_000)
_ASTRAY_S: Final = 1.0  # a clock this far from the time of arrival has jumped
_PULL: Final = 1 / 1000  # share of the difference taken back with each frame: drift, not jitter


class StreamClock:
    """Time from the first frame, always growing.

    A stream's clock spaces frames exactly, where their arrival jitters; but it begins anew with
    each connection, may jump, and drifts. So it is laid onto the time of arrival and follows that
    slowly; where it is far from it, or there is none, the time of arrival counts.
    """

    def __init__(self) -> None:
        self._first_s: float | None = None  # arrival of the first frame
        self._offset_s: float | None = None  # from the stream's clock to ours
        self._last = -1  # microseconds

    def reconnected(self) -> None:
        """The next frame is the first of a new connection."""
        self._offset_s = None

    def ticks(self, clock_s: float | None, seen_s: float) -> int:
        """Microseconds from the first frame of one with this clock and time of arrival."""
        if self._first_s is None:
            self._first_s = seen_s
        arrived_s = seen_s - self._first_s
        time_s = arrived_s if clock_s is None else self._laid(clock_s, arrived_s)
        self._last = max(self._last + 1, round(time_s / TIME_BASE))
        return self._last

    def _laid(self, clock_s: float, arrived_s: float) -> float:
        if self._offset_s is None or abs(clock_s + self._offset_s - arrived_s) > _ASTRAY_S:
            self._offset_s = arrived_s - clock_s
        self._offset_s += _PULL * (arrived_s - clock_s - self._offset_s)
        return clock_s + self._offset_s
