"""Streams that come in pieces of seconds, as HLS does, at the pace they were filmed."""

from __future__ import annotations

import threading
import time
from typing import Final

_MOST_S: Final = 10.0  # a wait longer than this is a clock that jumped


class Pace:
    """Holds each picture back until its time, counted from the first one."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._offset_s: float | None = None  # from the stream's clock to time.monotonic()

    def wait(self, clock_s: float) -> None:
        """Waits until the picture with this time is due; one that is late goes first from then."""
        now = time.monotonic()
        if self._offset_s is None or not -1 < clock_s + self._offset_s - now < _MOST_S:
            self._offset_s = now - clock_s
        self._over.wait(max(0.0, clock_s + self._offset_s - now))

    def end(self) -> None:
        """Nobody waits any longer."""
        self._over.set()
