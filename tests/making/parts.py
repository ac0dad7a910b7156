"""Parts of a run, for workers, that send and fail as a test asks; no engine is needed."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from posert.errors import EngineError, ModelError
from posert.runtime.sinks.sink import DataSink
from posert.runtime.stream import OnFrame, Tally
from posert.runtime.timing import StageTimes
from posert.settings import RunSettings
from posert.types import Frame, People, Result, SourceInfo

FRAMES = 50
_NOBODY = People(np.zeros((0, 2, 3), np.float32), np.zeros(0, np.float32))


class Counting:
    """Sends ``FRAMES`` frames of each source, in turn; half-way ``half_way`` is called."""

    engine = "made up"

    def __init__(self, work: list[Tally], settings: RunSettings) -> None:
        self.times = StageTimes()
        self._work = work

    def half_way(self, tally: Tally) -> None:
        """What becomes of it there."""

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]],
    ) -> None:
        for tally in self._work:
            tally.opened, tally.expected = True, FRAMES
        for i in range(FRAMES):
            for tally in self._work:
                if stop.is_set():
                    break
                if i == FRAMES // 2:
                    alive()
                    self.half_way(tally)
                info = SourceInfo(tally.source, 8, 8, Fraction(25), Fraction(1, 25))
                with self.times.measure("data"):
                    for sink in sinks:
                        frame = Frame(np.zeros((8, 8, 3), np.uint8), i, i, i / 25)
                        sink.write([Result(info, frame, _NOBODY)])
                tally.frames += 1
                on_frame(tally)
        for tally in self._work:
            tally.done = True


class Killed(Counting):
    """Dies half-way where a source is called ``bad``."""

    def half_way(self, tally: Tally) -> None:
        if tally.source == "bad":
            os.kill(os.getpid(), signal.SIGKILL)


class Broken(Counting):
    """Its engine fails half-way where a source is called ``bad``."""

    def half_way(self, tally: Tally) -> None:
        if tally.source == "bad":
            raise EngineError("CUDA failed: an illegal memory access")


class Faulty(Counting):
    """Has a fault of ours where a source is called ``bad``."""

    def half_way(self, tally: Tally) -> None:
        if tally.source == "bad":
            raise ZeroDivisionError("a fault")


class Talking(Counting):
    """Says something, on stdout too."""

    def half_way(self, tally: Tally) -> None:
        logging.getLogger("posert.made_up").warning("%s is half-way", tally.source)
        print("a library prints")


class Endless(Counting):
    """Waits half-way until it is told to stop."""

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]],
    ) -> None:
        for tally in self._work:
            tally.opened, tally.frames = True, 1
        while not stop.is_set():
            alive()
            time.sleep(0.01)
        for tally in self._work:
            tally.done = True


def refused(work: list[Tally], settings: RunSettings) -> NoReturn:
    """Nothing can be begun."""
    raise ModelError("no such model", got="made up", expected="another", fix="see: posert models")


def dead(work: list[Tally], settings: RunSettings) -> NoReturn:
    """Dies before it is ready."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("still here")
