"""Cameras and streams kept alive: the newest frame, a watchdog, reconnection."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Final

from posert.errors import InputError, StreamEnded, StreamStalled
from posert.runtime.sources.reader import Connect, Reader
from posert.runtime.sources.source import Capture, Captured, Health, Reading, Span, State
from posert.runtime.sources.stream_clock import TIME_BASE, StreamClock
from posert.types import Frame, SourceInfo

log = logging.getLogger(__name__)

START_GIVE_UP_S: Final = 30.0  # without a first picture, where no other limit is set
_POLL_S: Final = 0.1  # how often the watchdog looks
_PATIENCE_S: Final = 0.5  # after the last picture: how long closing waits for a read under way
_LEAST_S: Final = 0.02  # for a read that ends when it is told to
_MOST_HANGING: Final = 3  # calls that never returned; with so many no further one is begun
_RATE: Final = Fraction(30)  # where the stream names none


class LiveSource:
    """A source that never waits for its reader, and comes back when it was lost.

    A thread reads as fast as pictures come and keeps the newest one; those that nobody took in
    time are counted in ``dropped``. A connection that breaks, sends nothing for too long or hangs
    is replaced by a new one; its pictures may have another size or rate. ``health`` tells the
    state; each change of it is logged.

    Raises:
        AccessDenied: user or password is wrong.
        InputError: no picture came for ``reading.give_up_s`` (at the start: 30 s).
        StreamEnded: ``stop`` was set before the first picture.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        reading: Reading,
        stop: threading.Event | None = None,
    ) -> None:
        """Waits for the first picture. ``name`` bears no password; ``stop`` ends that wait."""
        self.skipped = 0
        self.dropped = 0
        self._health = Health()
        self.health: Health | None = self._health
        self._name = name
        self._connect = connect
        self._reading = reading
        self._stop = stop or threading.Event()
        self._changed = threading.Condition()  # guards all below
        self._newest: Frame | None = None  # not yet taken
        self._first: SourceInfo | None = None
        self._size: tuple[int, int] | None = None
        self._arrivals = 0
        self._clock = StreamClock()
        self._span = Span()
        self._damaged = 0  # of this connection
        self._silent_since = time.monotonic()
        self._failure: BaseException | None = None
        self._closed = False
        self._hanging: list[Reader] = []
        self._reader = Reader(name, connect, reading, self)
        self._reader.start()
        try:
            self.info = self._wait_for_info()
        except BaseException:
            self.close()
            raise

    def frames(self, span: Span) -> Iterator[Frame]:
        """The newest frame each time one is asked for; waits where there is none.

        Ends when the source is closed. ``span.start_s`` and ``span.every`` count all frames that
        arrive, ``span.max_frames`` those delivered.
        """
        with self._changed:
            self._span = span
            if self._newest is not None and not _wanted(self._newest, span):
                self._newest = None
        for _ in count() if span.max_frames is None else range(span.max_frames):
            frame = self._take()
            if frame is None:
                return
            yield frame

    def leave(self) -> None:
        """Ends ``frames``, and the connection as soon as it can; waits for nothing."""
        with self._changed:
            if not self._closed:
                self._closed = True
                if self._health.state is not State.FAILED:
                    self._to(State.ENDED, logging.INFO, self._summary())
                self._changed.notify_all()
            reader = self._reader
        reader.leave()

    def close(self) -> None:
        """The same, and waits a little for its end; a read that hangs frees it once it returns."""
        self.leave()
        silent_s = time.monotonic() - self._silent_since
        self._reader.join(max(_LEAST_S, _PATIENCE_S - silent_s))

    def _take(self) -> Frame | None:
        """The newest frame not yet taken; None once the source is closed."""
        while True:
            with self._changed:
                if self._closed:
                    return None
                if (frame := self._newest) is not None:
                    self._newest = None
                    return frame
                if self._failure is not None:
                    raise self._failure
                self._changed.wait(_POLL_S)
            self._watch()

    def _wait_for_info(self) -> SourceInfo:
        while True:
            with self._changed:
                if self._first is not None:
                    return self._first
                if self._failure is not None:
                    raise self._failure
                self._changed.wait(_POLL_S)
            if self._stop.is_set():
                raise StreamEnded(f"{self._name}: stopped before its first picture")
            self._watch()

    # The watchdog: runs where frames are waited for, so that it needs no thread.

    def _watch(self) -> None:
        now = time.monotonic()
        if now > self._reader.late_at:
            self._leave_hanging()
        limit_s = self._reading.give_up_s
        if limit_s is None and self._first is None:
            limit_s = START_GIVE_UP_S
        if limit_s is not None and now - self._silent_since > limit_s:
            what = f"{self._name}: {self._health.reason or 'sends no picture'}"
            error = InputError(what, fix=f"gave up after {limit_s:g} s without a picture")
            self.failed(self._reader, error)

    def _leave_hanging(self) -> None:
        """Replaces a reader whose call does not return; it ends by itself if it ever does."""
        with self._changed:
            self._hanging = [reader for reader in self._hanging if reader.alive]
            if self._closed or len(self._hanging) >= _MOST_HANGING:
                return
            hangs = self._reader
            self._hanging.append(hangs)
            if hangs.connected:
                limit_s = self._reading.read_timeout_s
                self._stalled(f"hangs: no picture within {limit_s:g} s")
            else:
                self._lost(f"hangs: cannot be opened within {self._reading.open_timeout_s:g} s")
            self._reader = Reader(self._name, self._connect, self._reading, self)
            self._reader.start()
        hangs.leave()

    # What the reader tells. One that was left has nothing to say any more.

    def connecting(self, reader: Reader) -> None:
        """A connection is about to be opened."""
        with self._changed:
            if self._heeds(reader):
                self._clock.reconnected()
                self._damaged = 0
                if self._health.state is State.STALLED:
                    self._to(State.CONNECTING, logging.INFO, "connecting again")

    def arrived(self, reader: Reader, capture: Capture, captured: Captured) -> None:
        """A picture came."""
        seen_s = time.monotonic()
        with self._changed:
            if not self._heeds(reader):
                return
            ticks = self._clock.ticks(captured.clock_s, seen_s)
            frame = Frame(captured.picture, self._arrivals, ticks, float(ticks * TIME_BASE), seen_s)
            self._count_damage(capture)
            self._note(frame, capture)
            self._arrivals += 1
            self._silent_since = seen_s
            if _wanted(frame, self._span):
                self.dropped += self._newest is not None
                self._newest = frame
            self._changed.notify_all()

    def was_live(self) -> bool:
        """Whether a picture ever came."""
        return self._first is not None

    def parted(self, reader: Reader, capture: Capture) -> None:
        """A connection is over."""
        with self._changed:
            if self._heeds(reader):
                self._count_damage(capture)

    def broke(self, reader: Reader, error: InputError) -> None:
        """The connection broke, or could not be opened; another follows."""
        reason = str(error).removeprefix(f"{self._name}: ")
        with self._changed:
            if not self._heeds(reader):
                return
            if isinstance(error, StreamStalled):
                self._stalled(reason)
            else:
                self._lost(reason)

    def failed(self, reader: Reader, error: BaseException) -> None:
        """Nothing will follow: ``error`` is raised where frames are taken."""
        with self._changed:
            if self._heeds(reader):
                self._failure = error
                self._health.reason = str(error).removeprefix(f"{self._name}: ")
                self._to(State.FAILED, logging.WARNING, f"failed: {self._health.reason}")
                self._changed.notify_all()
        reader.leave()

    # The state; all with the lock held.

    def _heeds(self, reader: Reader) -> bool:
        return reader is self._reader and not self._closed and self._failure is None

    def _note(self, frame: Frame, capture: Capture) -> None:
        """What a frame says of the state and the size."""
        rate = capture.rate or _RATE
        width, height = frame.size
        if self._first is None:
            self._first = SourceInfo(self._name, width, height, rate, TIME_BASE, live=True)
            self._to(State.LIVE, logging.INFO, f"live, {width}x{height}")
        elif self._health.state is not State.LIVE:
            self._health.reconnects += 1
            away_s = frame.seen_s - self._silent_since
            self._to(State.LIVE, logging.INFO, f"live again after {away_s:.1f} s")
        if self._size not in (None, frame.size):
            log.info("%s: pictures are now %dx%d", self._name, width, height)
        self._size = frame.size

    def _count_damage(self, capture: Capture) -> None:
        self.skipped += capture.skipped - self._damaged
        self._damaged = capture.skipped

    def _stalled(self, reason: str) -> None:
        self._health.stalls += 1
        self._health.reason = reason
        self._to(State.STALLED, logging.WARNING, f"stalled: {reason}")

    def _lost(self, reason: str) -> None:
        again = reason == self._health.reason and self._health.state is State.CONNECTING
        level = logging.DEBUG if again else logging.WARNING
        self._health.reason = reason
        self._to(State.CONNECTING, level, f"{reason}; trying again")

    def _to(self, state: State, level: int, text: str) -> None:
        self._health.state = state
        log.log(level, "%s: %s", self._name, text)

    def _summary(self) -> str:
        health = self._health
        return (
            f"ended after {self._arrivals} frames: {self.dropped} dropped, {self.skipped} damaged, "
            f"{health.stalls} stalls, {health.reconnects} reconnections"
        )


def _wanted(frame: Frame, span: Span) -> bool:
    return frame.time_s >= span.start_s and frame.index % span.every == 0
