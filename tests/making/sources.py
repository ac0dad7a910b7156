"""A source of blank frames that sends, waits and fails as a test asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from posert.runtime.sources.source import Health, Span
from posert.types import Frame, SourceInfo

PICTURE = np.zeros((64, 96, 3), np.uint8)


@dataclass
class Blank:
    """``count`` frames; before frame i it calls ``before(i)``, which may wait or fail."""

    name: str
    count: int = 10
    live: bool = False
    before: Callable[[int], object] = lambda i: None
    skipped: int = 0
    dropped: int = 0
    health: Health | None = None
    sent: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.info = SourceInfo(self.name, 96, 64, Fraction(25), Fraction(1, 25), live=self.live)

    def frames(self, span: Span) -> Iterator[Frame]:
        for i in range(self.count if span.max_frames is None else min(self.count, span.max_frames)):
            self.before(i)
            self.sent += 1
            yield Frame(PICTURE, i, i, i / 25)

    def close(self) -> None:
        self.closed.set()
