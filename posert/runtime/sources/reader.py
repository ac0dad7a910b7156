"""The thread that keeps a live source connected: connects, reads, and connects again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from posert.errors import AccessDenied, InputError
from posert.runtime.sources.backoff import MOST_S, Backoff
from posert.runtime.sources.source import Capture, Captured, Reading

_REFUSED_S: Final = 15.0  # before who let us in and now does not is asked again: locks no account
GRACE_S: Final = 1.0  # a call that is late by this much is taken to hang

Connect = Callable[[], Capture]


def first_picture_s(reading: Reading) -> float:
    """How long a connection's first picture may take: it waits for the stream's next key frame."""
    return max(reading.open_timeout_s, reading.read_timeout_s)


class Owner(Protocol):
    """What a reader tells; called in its thread."""

    def was_live(self) -> bool: ...

    def connecting(self, reader: Reader) -> None: ...

    def arrived(self, reader: Reader, capture: Capture, captured: Captured) -> None: ...

    def parted(self, reader: Reader, capture: Capture) -> None: ...

    def broke(self, reader: Reader, error: InputError) -> None: ...

    def failed(self, reader: Reader, error: BaseException) -> None: ...


class Reader:
    """Reads one connection after the other until it is left."""

    def __init__(self, name: str, connect: Connect, reading: Reading, owner: Owner) -> None:
        self.late_at = math.inf  # time.monotonic() from which the call under way is taken to hang
        self.connected = False
        self._connect = connect
        self._reading = reading
        self._owner = owner
        self._capture: Capture | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"read {name}", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Begins to connect."""
        self._thread.start()

    def leave(self) -> None:
        """Ends the thread once the call that it waits for returns; it frees what it holds."""
        self._over.set()
        if (capture := self._capture) is not None:
            capture.close()

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the thread, at most so long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._over.is_set():
                began = time.monotonic()
                try:
                    self._read_connection()
                except AccessDenied as e:
                    if not self._owner.was_live():
                        raise
                    self._owner.broke(self, e)
                    self._over.wait(_REFUSED_S)
                except InputError as e:
                    if time.monotonic() - began > MOST_S and self.connected:
                        backoff.reset()
                    self._owner.broke(self, e)
                    self._over.wait(backoff.wait_s())
        except BaseException as e:  # noqa: BLE001  it is raised again where frames are taken
            self._owner.failed(self, e)

    def _read_connection(self) -> None:
        """Opens a connection and reads it until it breaks, which raises, or all is over."""
        reading = self._reading
        self.connected = False
        self._owner.connecting(self)
        self.late_at = time.monotonic() + reading.open_timeout_s + GRACE_S
        try:
            capture = self._capture = self._connect()
            limit_s = first_picture_s(reading)
            try:
                while not self._over.is_set():
                    self.late_at = time.monotonic() + limit_s + GRACE_S
                    captured = capture.read()
                    limit_s = reading.read_timeout_s
                    self.connected = True
                    self._owner.arrived(self, capture, captured)
            finally:
                self._owner.parted(self, capture)
                capture.close()
        finally:
            self.late_at, self._capture = math.inf, None
