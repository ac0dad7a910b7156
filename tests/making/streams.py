"""Connections to streams that do what a test says, one picture at a time."""

from __future__ import annotations

import queue
import threading
from fractions import Fraction

import numpy as np

from posert.errors import StreamEnded
from posert.runtime.sources.source import Capture, Captured
from posert.types import Image

PATIENCE_S = 30  # only a hang takes so long


def grey(number: int = 0, width: int = 64, height: int = 48) -> Image:
    """A picture that bears a number below 256."""
    return np.full((height, width, 3), number, np.uint8)


class Script(Capture):
    """A connection that sends what it is given, and breaks with the errors it is given."""

    def __init__(self, *steps: Captured | Image | BaseException, rate: int | None = None) -> None:
        self.rate = None if rate is None else Fraction(rate)
        self.skipped = 0
        self.closed = threading.Event()
        self.taken = threading.Semaphore(0)  # one for each step that was asked for
        self._steps: queue.Queue[Captured | Image | BaseException] = queue.Queue()
        self.send(*steps)

    def send(self, *steps: Captured | Image | BaseException) -> None:
        """What it does next."""
        for step in steps:
            self._steps.put(step)

    def read(self) -> Captured:
        self.taken.release()
        step = self._steps.get(timeout=PATIENCE_S)
        if isinstance(step, BaseException):
            raise step
        return Captured(step, None) if isinstance(step, np.ndarray) else step

    def close(self) -> None:
        self.closed.set()
        self._steps.put(StreamEnded("cam: closed"))


class Hanging(Script):
    """A connection whose read does not return before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def read(self) -> Captured:
        self.taken.release()
        self.release.wait(PATIENCE_S)
        raise StreamEnded("cam: returned at last")

    def close(self) -> None:
        self.closed.set()


class Camera:
    """Connects to one after the other of what it is given; refuses when there is none."""

    def __init__(self, *connections: Capture | BaseException) -> None:
        self.tries = 0
        self._connections = list(connections)

    def offer(self, connection: Capture) -> None:
        """What the next try comes to."""
        self._connections.append(connection)

    def __call__(self) -> Capture:
        self.tries += 1
        if not self._connections:
            raise StreamEnded("cam: cannot be opened: got Connection refused")
        connection = self._connections.pop(0)
        if isinstance(connection, BaseException):
            raise connection
        return connection
