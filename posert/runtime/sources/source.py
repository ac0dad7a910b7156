"""The seam to pictures: what every source offers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final, Literal, Protocol

from posert.runtime.video_io import VideoIO
from posert.types import DevicePicture, Frame, Image, SourceInfo


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are opened and read; the last five are of live sources."""

    io: VideoIO = "auto"
    on_device: bool = False  # the engine takes pictures where a GPU's decoder leaves them
    transport: Literal["tcp", "udp"] = "tcp"  # of RTSP
    latency_s: float = 0.0  # that RTSP packets may wait for those sent before them
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0  # without a picture a stream has stalled and is opened anew
    give_up_s: float | None = None  # without a picture; None: 30 s at the start, then never


DEFAULT: Final = Reading()


class State(Enum):
    """Where a live source is in its life."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"  # connected, but no picture comes
    ENDED = "ended"  # closed by us
    FAILED = "failed"  # given up


@dataclass(slots=True)
class Health:
    """How a live source fares; grows while it runs."""

    state: State = State.CONNECTING
    reconnects: int = 0  # times it was live again after it was not
    stalls: int = 0  # times it sent nothing for too long
    reason: str = ""  # of the last trouble, one line


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """One picture of a live source as it came."""

    picture: Image | DevicePicture
    clock_s: float | None  # the stream's own clock, where it has one


class Capture(Protocol):
    """One connection to a camera or stream, used by one thread until it breaks."""

    rate: Fraction | None  # frames a second, where the stream says so
    skipped: int  # damaged pictures left out so far

    def read(self) -> Captured:
        """The next picture; returns or raises within the read time-out.

        Raises:
            StreamStalled: nothing came in time.
            StreamEnded: the other side closed it.
            InputError: it is broken.
        """
        ...

    def close(self) -> None:
        """Frees all; safe to call from another thread while ``read`` waits."""
        ...


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
    health: Health | None  # of a live source

    def frames(self, span: Span) -> Iterator[Frame]:
        """The frames wanted, in order.

        Raises:
            InputError: the source broke off before its end.
        """
        ...

    def close(self) -> None: ...
