"""Video files behind HTTP: they end and wait to be taken, unlike streams."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from posert.errors import InputError, StreamEnded
from posert.runtime.sources.network import NetworkCapture
from posert.runtime.sources.source import Captured, Health, Span
from posert.runtime.sources.stream_clock import TIME_BASE
from posert.types import Frame, SourceInfo

_EARLY = 0.05  # share of the promised frames that may lack at the end before it is called early


class UrlFile:
    """A file that is read from its beginning, as servers need not be able to seek.

    Raises:
        InputError: it holds no picture.
    """

    def __init__(self, name: str, capture: NetworkCapture) -> None:
        """Takes over ``capture``, whose ``finite`` is true."""
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = None
        self._name = name
        self._capture = capture
        try:
            self._first = capture.read()
        except InputError:
            capture.close()
            raise
        width, height = Frame(self._first.picture, 0, 0, 0.0).size
        self.info = SourceInfo(
            name, width, height, capture.rate or Fraction(25), TIME_BASE, frames=capture.frames
        )

    def frames(self, span: Span) -> Iterator[Frame]:
        taken = 0
        for index, captured in enumerate(self._all()):
            if taken == span.max_frames:
                return
            time_s = self._time_s(captured, index)
            if time_s >= span.start_s and index % span.every == 0:
                taken += 1
                yield Frame(captured.picture, index, round(time_s / TIME_BASE), time_s)

    def close(self) -> None:
        self._capture.close()

    def _all(self) -> Iterator[Captured]:
        captured, number = self._first, 0
        try:
            while True:
                yield captured
                number += 1
                captured = self._capture.read()
                self.skipped = self._capture.skipped
        except StreamEnded as e:
            self._check_end(number, e)

    def _time_s(self, captured: Captured, index: int) -> float:
        if captured.clock_s is None or self._first.clock_s is None:
            return float(index / self.info.rate)
        return captured.clock_s - self._first.clock_s

    def _check_end(self, number: int, end: StreamEnded) -> None:
        """Tells a file that breaks off from one that is damaged within."""
        promised = self.info.frames or 0
        lacking = promised - number - self.skipped
        if lacking > max(2, _EARLY * promised):
            raise InputError(
                f"{self._name}: ends early", got=f"{number} frames", expected=promised,
                fix="what came is processed; try again for the rest",
            ) from end  # fmt: skip
