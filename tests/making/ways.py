"""Every way known in which one source of many breaks: what it does, and what is said of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from making.sources import Blank
from making.streams import Camera, Script, grey
from posert.errors import InputError, OutputError, StreamEnded, StreamStalled
from posert.runtime.sources.live import LiveSource
from posert.runtime.sources.source import Reading, Source, Span
from posert.types import Frame, Image

PATIENCE_S = 30
WriteImage = Callable[[Image, Frame], None]


def nothing(image: Image, frame: Frame) -> None:
    """A writer that takes everything."""


@dataclass
class Broken:
    """A source and its output; what waits for ever does so until ``released``."""

    source: Callable[[], Source]
    write: WriteImage = nothing
    live: bool = False
    outputs: Callable[[], None] = lambda: None  # called when they are opened
    complete: Callable[[], None] = lambda: None  # called when they are closed
    frames: int | None = None  # that are delivered; None: it is not said
    reason: str | None = None  # what the report says; None: nothing is wrong
    needs_stop: bool = False  # it ends when the run is told to


@dataclass
class Ground:
    """What the source may wait for."""

    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        self.released.wait(PATIENCE_S)


class Changing(Blank):
    """Frames of another size from the fifth on, and of one pixel in the end."""

    def frames(self, span: Span) -> Iterator[Frame]:
        for frame in super().frames(span):
            width, height = [(96, 64), (50, 130), (1, 1)][min(2, frame.index // 5)]
            image = np.zeros((height, width, 3), np.uint8)
            yield Frame(image, frame.index, frame.pts, frame.time_s)


def flood(name: str) -> Blank:
    """A live source that says 25 frames a second and sends ten times as many, or more."""
    return Blank(name, 10**9, live=True, before=lambda i: time.sleep(0.002))


def _fails(error: BaseException) -> NoReturn:
    raise error


def _at(index: int, then: Callable[[], object]) -> Callable[[int], object]:
    return lambda i: then() if i == index else None


def cannot_open(ground: Ground) -> Broken:
    error = InputError("bad: no such file")
    return Broken(lambda: _fails(error), frames=0, reason="no such file")


def empty(ground: Ground) -> Broken:
    return Broken(lambda: Blank("bad", 0), frames=0)


def breaks_in_the_middle(ground: Ground) -> Broken:
    error = InputError("bad: ends early")
    source = Blank("bad", 20, before=_at(7, lambda: _fails(error)))
    return Broken(lambda: source, frames=7, reason="ends early")


def hangs_when_opened(ground: Ground) -> Broken:
    def opened() -> Source:
        ground.wait()
        raise InputError("bad: too late")

    return Broken(opened, needs_stop=True)


def hangs_in_the_middle(ground: Ground) -> Broken:
    source = Blank("bad", 20, before=_at(7, ground.wait))
    return Broken(lambda: source, frames=7, needs_stop=True)


def changes_its_size(ground: Ground) -> Broken:
    return Broken(lambda: Changing("bad", 12), frames=12)


def floods(ground: Ground) -> Broken:
    return Broken(lambda: flood("bad"), live=True, needs_stop=True)


def floods_without_end(ground: Ground) -> Broken:
    """A file that has as many frames as one takes of it."""
    return Broken(lambda: Blank("bad", 10**9), needs_stop=True)


def disconnects_and_returns(ground: Ground) -> Broken:
    gone = Script(grey(1), StreamEnded("bad: closed"))
    back = Script(*(grey(i, 32, 80) for i in range(5)), rate=25)
    camera = Camera(gone, InputError("bad: refused"), back)
    return Broken(lambda: LiveSource("bad", camera, Reading()), live=True, needs_stop=True)


def stalls_for_good(ground: Ground) -> Broken:
    camera = Camera(Script(grey(1), StreamStalled("bad: no packet")))
    reading = Reading(give_up_s=0.5)
    return Broken(
        lambda: LiveSource("bad", camera, reading), live=True, reason="gave up after 0.5 s"
    )  # fmt: skip


def output_cannot_be_opened(ground: Ground) -> Broken:
    error = OutputError("bad.mp4: cannot be written", got="Permission denied")
    return Broken(
        lambda: Blank("bad", 20), outputs=lambda: _fails(error), frames=0,
        reason="Permission denied",
    )  # fmt: skip


def output_is_full(ground: Ground) -> Broken:
    def write(image: Image, frame: Frame) -> None:
        if frame.index == 5:
            raise OutputError("bad.mp4: cannot be written", got="No space left on device")

    return Broken(lambda: Blank("bad", 10**9), write, frames=5, reason="No space left on device")


def output_hangs(ground: Ground) -> Broken:
    def write(image: Image, frame: Frame) -> None:
        ground.wait()

    return Broken(lambda: Blank("bad", 10**9), write, reason="took nothing", needs_stop=True)


def output_cannot_be_completed(ground: Ground) -> Broken:
    error = OutputError("bad.mp4: cannot be completed")
    return Broken(
        lambda: Blank("bad", 20), complete=lambda: _fails(error), frames=20,
        reason="cannot be completed",
    )  # fmt: skip


WAYS: dict[str, Callable[[Ground], Broken]] = {
    way.__name__: way
    for way in (
        cannot_open, empty, breaks_in_the_middle, hangs_when_opened, hangs_in_the_middle,
        changes_its_size, floods, floods_without_end, disconnects_and_returns, stalls_for_good,
        output_cannot_be_opened, output_is_full, output_hangs, output_cannot_be_completed,
    )
}  # fmt: skip
