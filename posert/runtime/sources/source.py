"""The seam to pictures: what every source offers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from posert.types import Frame, SourceInfo


@dataclass(frozen=True, slots=True)
class Span:
    """Which frames of a source are wanted."""

    start_s: float = 0.0  # seconds from the first frame
    every: int = 1  # each how manieth frame
    max_frames: int | None = None  # how many at most, counted after start and every

    def expected(self, info: SourceInfo) -> int | None:
        """How many frames of a source that will be, as far as its header tells."""
        if info.frames is None:
            return self.max_frames
        first = 0 if info.still else math.ceil(self.start_s * info.rate)
        count = max(0, -(-(info.frames - first) // self.every))
        return count if self.max_frames is None else min(count, self.max_frames)


class Source(Protocol):
    """An open source of frames, read by one thread."""

    info: SourceInfo
    skipped: int  # frames that were damaged and left out so far
    dropped: int  # frames of a live source that came faster than they were taken

    def frames(self, span: Span) -> Iterator[Frame]:
        """The frames wanted, in order.

        Raises:
            InputError: the source broke off before its end.
        """
        ...

    def close(self) -> None: ...
