"""Calls into OpenCV that GStreamer may keep waiting for ever, given an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from posert.runtime.elements.supervision import Supervision

_TICK_S: Final = 0.05
_AFTER_ERROR_S: Final = 0.5  # what was decoded before an error comes within this time


class Deadline:
    """Stops a pipeline whose user waits too long, or waits for one that has failed."""

    def __init__(self, supervision: Supervision, name: str) -> None:
        self.expired = False  # it was stopped because nothing came in time
        self._supervision = supervision
        self._waiting: tuple[float, float] | None = None  # since when, for how long
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"deadline {name}", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is called within returns after so many seconds at the latest."""
        self._waiting = (time.monotonic(), seconds)
        try:
            yield
        finally:
            self._waiting = None

    def close(self) -> None:
        """Watches no longer."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_TICK_S):
            if (waiting := self._waiting) is None:
                continue
            waited = time.monotonic() - waiting[0]
            failed = bool(self._supervision.errors) and waited > _AFTER_ERROR_S
            if failed or waited > waiting[1]:
                self.expired = not failed
                self._supervision.stop()
                self._waiting = None
