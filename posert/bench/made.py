"""Made-up sources: frames decoded ahead, as fast as they are taken or as a camera sends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from typing import Final

from posert.bench.stages import Decoded
from posert.runtime.sources.source import Health, Span, State
from posert.types import Frame, SourceInfo

_TICKS: Final = 90_000  # a second


class Predecoded:
    """A file whose frames cost nothing any more."""

    def __init__(self, name: str, decoded: Decoded) -> None:
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = None
        self.info = _info(name, decoded, decoded.info.rate, live=False)
        self._pictures = [frame.picture for frame in decoded.frames]

    def frames(self, span: Span) -> Iterator[Frame]:
        interval = 1 / self.info.rate
        for i, picture in enumerate(islice(cycle(self._pictures), span.max_frames)):
            ticks = round(i * interval * _TICKS)
            yield Frame(picture, i, ticks, float(i * interval), time.monotonic())

    def close(self) -> None:
        pass


class Camera:
    """A live source that sends ``count`` frames at its rate and waits for nobody.

    A frame that nobody takes before the next one is due is dropped, by who reads it or here.
    """

    def __init__(
        self, name: str, decoded: Decoded, rate: float, count: int, phase: float = 0.0
    ) -> None:
        """``phase``: its first frame comes this share of an interval later, for cameras differ."""
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = Health(State.LIVE)
        self.info = _info(name, decoded, Fraction(rate).limit_denominator(1001), live=True)
        self._pictures = [frame.picture for frame in decoded.frames]
        self._count = count
        self._interval_s = 1 / rate
        self._phase_s = phase / rate
        self._over = threading.Event()

    def frames(self, span: Span) -> Iterator[Frame]:
        began = time.monotonic() + self._phase_s
        for i, picture in enumerate(islice(cycle(self._pictures), self._count)):
            due = began + i * self._interval_s
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            if time.monotonic() - due > self._interval_s:
                self.dropped += 1  # the next one is there already
                continue
            time_s = i * self._interval_s
            yield Frame(picture, i, round(time_s * _TICKS), time_s, due)

    def close(self) -> None:
        self._over.set()


def _info(name: str, decoded: Decoded, rate: Fraction, *, live: bool) -> SourceInfo:
    info = decoded.info
    return SourceInfo(name, info.width, info.height, rate, Fraction(1, _TICKS), live=live)
