"""One source's place on a wall: the frames that wait there, and what is known of the source."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from fractions import Fraction
from typing import Final

from posert.errors import OutputError, PosertError
from posert.runtime.wall.face import Face, State, fitted
from posert.types import Frame, Image, SourceInfo

log = logging.getLogger(__name__)

_MOST_WAITING: Final = 4  # frames of a file, so large as the tile
_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should go on
_HANGS_S: Final = 10.0  # for one frame of the wall: its file, or who receives it, hangs
_RECENT_S: Final = 2.0  # that frames/s and latency are of
_MOST_RECENT: Final = 1000  # frames
_INTERVALS: Final = 15  # that the usual one is of
_LONGEST_S: Final = 1.0  # that the last frame of a source is shown before it has ended


class Exchange:
    """Where the sources' threads and the wall's thread meet; all of it under one lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.came = threading.Condition(self.lock)  # told when a tile has something new
        self.over = False  # nothing more is shown
        self.hung = False  # because writing took too long
        self.error: PosertError | None = None  # why it is over before its end
        self.writing_since: float | None = None  # time.monotonic() when a frame was begun

    def is_over(self) -> bool:
        """Also once the wall's video takes nothing any more; called with the lock held."""
        since = self.writing_since
        if not self.hung and since is not None and time.monotonic() - since > _HANGS_S:
            self.hung = True
            self.fail(
                OutputError(
                    "the wall took nothing and was left", got=f"no frame in {_HANGS_S:g} s",
                    fix="check its disk or receiver",
                )
            )  # fmt: skip
        return self.over

    def fail(self, error: PosertError) -> None:
        """Ends the wall, and says so at once: the run may go on for days; with the lock held."""
        if self.error is None:
            log.error("the wall ends here: %s", error)
        self.over, self.error = True, error


class Recent:
    """Frames/s and latency of the frames of the last seconds."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float]] = deque(maxlen=_MOST_RECENT)
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self.last_s = -float("inf")  # when the newest came, time.monotonic(); at first, never

    def add(self, now_s: float, latency_s: float) -> None:
        if self.last_s > -float("inf"):
            self._intervals.append(now_s - self.last_s)
        self.last_s = now_s
        self._frames.append((now_s, latency_s))
        while len(self._frames) > 2 and self._frames[0][0] < now_s - _RECENT_S:
            self._frames.popleft()

    @property
    def usual_s(self) -> float:
        """Seconds between two frames, whatever gaps there were; 0 before there are some frames."""
        return statistics.median_low(self._intervals) if len(self._intervals) > 2 else 0.0

    def forget(self) -> None:
        """Frames/s and latency begin anew: a silence tells nothing of them."""
        self._frames.clear()

    @property
    def rate(self) -> float | None:
        """Frames a second; None before there are two."""
        if len(self._frames) < 2:
            return None
        seconds = self._frames[-1][0] - self._frames[0][0]
        return (len(self._frames) - 1) / max(seconds, 1e-3)

    def __str__(self) -> str:
        if self.rate is None:
            return ""
        latency_ms = 1e3 * sum(latency for _, latency in self._frames) / len(self._frames)
        return f"{self.rate:.1f} fps  {latency_ms:.0f} ms"


class Tile:
    """Takes the drawn frames of one source from one thread; ``end`` may come from any."""

    def __init__(
        self, name: str, size: tuple[int, int], exchange: Exchange, *, waits: bool
    ) -> None:
        """``size`` is width and height of its pictures; one that ``waits`` leaves no frame out."""
        self.name = name
        self._size = size
        self._exchange = exchange
        self._waits = waits
        self._room = threading.Condition(exchange.lock)
        self._waiting: deque[tuple[float, Image]] = deque()  # frames of a file, and their time
        self._newest_s = -float("inf")  # time of the newest frame that came
        self._picture: Image | None = None
        self._fresh = False  # the picture is on no frame of the wall yet
        self._numbers = ""
        self._reason = ""
        self._pixel: Fraction | None = None
        self._still = False
        self.rate: Fraction | None = None  # frames a second, where that is known
        self.recent = Recent()
        self.state = State.WAITING
        self.ended = False
        self.passed = False  # the wall goes on without it until its next frame

    @property
    def room(self) -> tuple[float, float]:
        """Width and height in which its pictures, shape kept, are no smaller than shown."""
        pixel = float(self._pixel or 1)
        width, height = self._size
        return width / min(1.0, pixel), height * max(1.0, pixel)

    def begin(self, info: SourceInfo) -> None:
        """What is known of the source now that it is open; need not be told.

        Its rate is that of the frames that come here: with ``--every`` fewer than it has.
        """
        with self._exchange.lock:
            self._pixel, self._still = info.sample_aspect_ratio, info.still
            self.rate = info.rate if info.rate > 0 else None

    def show(self, image: Image, frame: Frame, latency_s: float) -> None:
        """Shows the drawn ``image`` (H, W, 3) uint8 BGR of ``frame``, so old by now.

        It is scaled at once. On a wall of files this waits while enough frames wait already.
        """
        if self._exchange.over:
            return
        small = fitted(image, *self._size, self._pixel)
        with self._exchange.lock:
            while self._is_full() and not (self.ended or self._exchange.is_over()):
                self._room.wait(_POLL_S)
            if self._exchange.is_over():
                return
            self._newest_s = max(self._newest_s, frame.time_s)  # a broken clock loses no frame
            self._waiting.append((self._newest_s, small))
            self.recent.add(time.monotonic(), latency_s)
            self.passed = False
            if not self._waits:
                self.advance(self._newest_s)
            self._exchange.came.notify()

    def end(self, reason: str = "") -> None:
        """No further frame comes, and why if the source failed; safe to call again."""
        with self._exchange.lock:
            self._reason = self._reason or reason
            self.ended = True
            self.wake()
            self._exchange.came.notify()

    # What follows is for the wall's thread, with the lock held.

    def wake(self) -> None:
        """Whoever waits in ``show`` looks again."""
        self._room.notify_all()

    def advance(self, time_s: float) -> None:
        """Takes the newest frame that is not later."""
        while self._waiting and self._waiting[0][0] <= time_s:
            _, self._picture = self._waiting.popleft()
            self._fresh = True
            self._room.notify()

    def knows(self, time_s: float) -> bool:
        """Whether it is certain which frame is the newest that is not later."""
        return self.ended or self._newest_s >= time_s

    @property
    def is_fresh(self) -> bool:
        """Whether its picture is on no frame of the wall yet."""
        return self._fresh

    @property
    def is_blocked(self) -> bool:
        """Whether it can take no further frame."""
        return self._is_full() and not self.ended

    @property
    def next_s(self) -> float | None:
        """Time of the next frame, where it came already."""
        return self._waiting[0][0] if self._waiting else None

    def is_done(self, time_s: float) -> bool:
        """Whether it has ended, and its last frame was shown as long as it lasts."""
        if not self.ended or self._waiting or self._fresh:
            return False
        return time_s >= self._newest_s + min(
            _LONGEST_S, float(1 / self.rate) if self.rate else 0.0
        )

    def settle(self, *, over: bool, stalled: bool) -> None:
        """Sets its state; ``over``: its last frame was shown long enough."""
        if over and self._reason:
            self.state = State.FAILED
        elif self._still and self._picture is not None:
            self.state = State.RUNNING  # nothing further is expected of it
        elif over:
            self.state = State.ENDED
        elif stalled:
            self.state = State.STALLED
            self.recent.forget()
        elif self.state is State.STALLED and self.recent.rate is None:
            pass  # one frame may be what a frozen source held back: a second one tells
        else:
            self.state = State.WAITING if self._picture is None else State.RUNNING

    def face(self, *, count: bool) -> Face:
        """What it shows now; the numbers are counted anew or stay as they were."""
        self._fresh = False
        if count or not self._numbers:
            self._numbers = str(self.recent)
        running = self.state is State.RUNNING
        reason = self._reason if self.state is State.FAILED else ""
        return Face(self.name, self.state, self._numbers if running else "", reason, self._picture)

    def _is_full(self) -> bool:
        return self._waits and len(self._waiting) >= _MOST_WAITING
