"""Keeps what a wall writes, to be looked at by a test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from making.numbered import number_of, numbered
from posert.errors import OutputError
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.wall.grid import Box
from posert.types import Frame, Image, SourceInfo

SHAPE = 16 / 9  # of the pictures


@dataclass
class Kept:
    """The frames of a wall; it takes them while ``go_on`` is set, and fails at one."""

    info: SourceInfo | None = None
    written: list[tuple[Image, Frame]] = field(default_factory=list)
    closed: int = 0
    paths: list[Path] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    fails_at: int = -1

    def __post_init__(self) -> None:
        self.go_on.set()

    def open(self, info: SourceInfo) -> ImageWriter:
        self.info = info
        return self

    def write(self, image: Image, frame: Frame) -> None:
        assert self.go_on.wait(20)
        if len(self.written) == self.fails_at:
            raise OutputError("full")
        self.written.append((image, frame))

    def close(self) -> None:
        self.closed += 1

    def part(self, box: Box, at: int) -> Image:
        """The picture of 16:9 in ``box`` on the wall's frame ``at``, without what is around it."""
        return middle_of(self.written[at][0], box)

    def numbers(self, box: Box) -> list[int]:
        """The numbers of the pictures there, of all frames of the wall."""
        return [number_of(self.part(box, at)) for at in range(len(self.written))]


def middle_of(image: Image, box: Box, shape: float = SHAPE) -> Image:
    """The picture of that width / height below the label of ``box``."""
    width, height = box.picture
    across, down = min(width, round(height * shape)), min(height, round(width / shape))
    x, y = box.x + (width - across) // 2, box.y + box.bar + (height - down) // 2
    return image[y : y + down, x : x + across]


def info(rate: int = 25, *, live: bool = False) -> SourceInfo:
    """Of a source of ``frame``s."""
    return SourceInfo("clip", 192, 108, Fraction(rate), Fraction(1, rate), live=live)


def frame(index: int, rate: float = 25) -> tuple[Image, Frame]:
    """Frame ``index`` of a source, which shows its index."""
    image = numbered(index, 192, 108)
    return image, Frame(image, index, index, index / rate)


def is_grey(image: Image) -> bool:
    return bool((image == image[:, :, :1]).all())
