"""Frames of many sources into batches: fair turns; files wait, live sources show their newest.

Live sources are opened and read in threads of their own, so that one that hangs harms no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from posert.errors import PosertError
from posert.runtime.deadline import Deadline
from posert.runtime.sources.live import LiveSource
from posert.runtime.sources.source import Source, Span, State
from posert.runtime.timing import StageTimes
from posert.types import Frame

log = logging.getLogger(__name__)

Owner = TypeVar("Owner")

_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop
_PATIENCE_S: Final = 2.0  # how long a source that does not answer is waited for at the end
WAITING: Final = 4  # decoded frames of a file that may wait


@dataclass(frozen=True, slots=True)
class End:
    """A source has no further frame."""

    error: PosertError | None = None  # why it ended early


@dataclass(frozen=True, slots=True)
class Order(Generic[Owner]):
    """A source to be read."""

    owner: Owner  # whose frames they are
    open: Callable[[], Source]  # called in the source's thread
    own_turn: bool  # begins at once, whatever else is read; others wait for their turn
    most_out: int | None = None  # frames taken and not ``finished``, at most; None: any number


@dataclass(frozen=True, slots=True)
class Taken(Generic[Owner]):
    """What a source sent."""

    owner: Owner
    item: Frame | End
    came_s: float  # time.monotonic() when it was read; of a live frame, when it arrived


Frames = Generator[Frame, None, None]
Batch = list[Taken[Owner]]


@dataclass(slots=True, eq=False)
class _Feed(Generic[Owner]):
    """One source that is read."""

    order: Order[Owner]
    room: threading.Condition  # told when a frame was taken of it, or of its reader's others
    source: Source | None = None  # while it is read
    live: bool = False
    waiting: deque[Taken[Owner]] = field(default_factory=deque)
    taken: int = 0
    out: int = 0  # taken, and not finished if that matters
    in_turn: bool = False  # is among those whose turn comes
    closed: bool = False  # no further frame is wanted


class Scheduler(Generic[Owner]):
    """Reads ``orders``; ``batches`` yields what they sent."""

    def __init__(
        self,
        orders: Iterable[Order[Owner]],
        span: Span,
        times: StageTimes,
        *,
        most: int,
        at_once: int,
        readers: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        """``most`` frames a batch; ``at_once`` of the orders without a turn of their own.

        These are read by ``readers`` threads, which go round their sources: where a decoder leaves
        Python's lock, a few threads are as fast as one a source, and disturb the others less.
        """
        self._span = span
        self._times = times
        self._most = most
        self._deadline = deadline or Deadline(None)
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)  # told when a frame came
        self._fewer = threading.Condition(self._lock)  # told when one was taken
        self._most_waiting = WAITING * at_once
        self._turns: deque[_Feed[Owner]] = deque()  # those with something waiting
        self._waiting = 0  # frames and ends, of all feeds
        self._wanted = 1  # so many are waited for
        self._stopped = False
        self._fault: BaseException | None = None
        feeds = [_Feed(order, threading.Condition(self._lock)) for order in orders]
        self._feeds = {feed.order.owner: feed for feed in feeds}
        self._open = len(feeds)  # feeds whose end was not taken yet
        files = deque(feed for feed in feeds if not feed.order.own_turn)
        at_once = min(at_once, len(files))  # or one thread would read two, and a hang hold both
        count = min(readers or at_once, at_once)
        shares = [at_once // count + (i < at_once % count) for i in range(count)]
        work = [(deque([feed]), 1) for feed in feeds if feed.order.own_turn]
        work += [(files, share) for share in shares]
        self._threads = [
            threading.Thread(target=self._read_all, args=each, name="source", daemon=True)
            for each in work
        ]

    def batches(
        self, stop: threading.Event, alive: Callable[[], None] = lambda: None
    ) -> Generator[Batch[Owner], None, None]:
        """What came, as soon as something did: at least one frame or end, at most ``most``.

        Ends when all sources have, or when ``stop`` is set: then no further frame is taken.
        ``alive`` is called at least ten times a second, unless nobody takes the batches.
        """
        for thread in self._threads:
            thread.start()
        try:
            while self._open and not stop.is_set():
                alive()
                if batch := self._take(stop):
                    yield batch
        finally:
            self.close()

    def drop(self, owner: Owner) -> None:
        """Takes no further frame of ``owner``'s; its end comes next."""
        with self._lock:
            self._drop(self._feeds[owner])

    def finished(self, owner: Owner) -> None:
        """A frame of ``owner``'s has left the last stage: another may be taken."""
        with self._lock:
            feed = self._feeds[owner]
            feed.out -= 1
            self._line_up(feed)
            if feed.in_turn and self._waiting >= self._wanted:
                self._ready.notify()

    def close(self) -> None:
        """Ends all threads; a source that does not answer is left to the end of the process."""
        with self._lock:
            self._stopped = True
            for feed in self._feeds.values():
                feed.room.notify_all()
            live = [f.source for f in self._feeds.values() if f.source and f.live]
        for source in live:
            if isinstance(source, LiveSource):
                _close(source.leave)  # all at once: each may take a moment
        for source in live:
            _close(source.close)  # wakes a thread that waits for a picture
        patience_ends = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, patience_ends - time.monotonic()))

    def _take(self, stop: threading.Event) -> Batch[Owner]:
        batch: Batch[Owner] = []
        with self._lock:
            if not self._turns:
                self._ready.wait(_POLL_S)
            if self._turns:
                self._linger()
            if self._fault is not None:
                raise self._fault
            most = self._deadline.most(self._oldest(), self._most)
            while self._turns and len(batch) < most and not stop.is_set():
                feed = self._turns.popleft()
                feed.in_turn = False
                batch.append(self._next_of(feed))
                self._line_up(feed, first=feed.closed)  # files one by one come one by one
        return batch

    def _linger(self) -> None:
        """Waits a moment for a full batch."""
        self._wanted, interval_s = self._expected()
        until = self._deadline.leave_by(self._oldest(), interval_s, self._wanted)
        while self._waiting < self._wanted and (left := until - time.monotonic()) > 0:
            self._ready.wait(left)
        self._wanted = 1

    def _oldest(self) -> float | None:
        """When the live frame came that waits longest."""
        return min((feed.waiting[0].came_s for feed in self._turns if feed.live), default=None)

    def _expected(self) -> tuple[int, float]:
        """How many frames may come to wait before one is taken, and how often live ones come."""
        open_ = [feed for feed in self._feeds.values() if feed.source and not feed.closed]
        live = [feed.source for feed in open_ if feed.source and feed.live and _sends(feed.source)]
        files = sum(not feed.live for feed in open_)
        interval_s = min((float(1 / s.info.rate) for s in live if s.info.rate > 0), default=0.0)
        return min(self._most, len(live) + WAITING * files), interval_s

    def _next_of(self, feed: _Feed[Owner]) -> Taken[Owner]:
        taken = feed.waiting.popleft()
        self._waiting -= 1
        if isinstance(taken.item, End):
            self._open -= 1
            return taken
        feed.taken += 1
        feed.out += 1
        feed.room.notify()
        self._fewer.notify()
        if feed.live and feed.taken == self._span.max_frames:
            self._drop(feed)
        return taken

    def _drop(self, feed: _Feed[Owner]) -> None:
        end = next((taken for taken in feed.waiting if isinstance(taken.item, End)), None)
        self._waiting -= len(feed.waiting)
        feed.waiting.clear()
        feed.out = 0  # what is out is not finished any more
        if not feed.closed:
            self._put(feed, End())
        elif end is not None:  # it had been read to its end, which nobody has taken
            self._wait(feed, end)
        feed.room.notify_all()

    def _read_all(self, feeds: deque[_Feed[Owner]], at_once: int) -> None:
        """Reads ``feeds``, which other readers take from too, ``at_once`` of them in turn.

        A frame of each that has room is read before all are handed over: one lock for many frames.
        """
        room = threading.Condition(self._lock)
        under_way: list[tuple[_Feed[Owner], Frames]] = []
        while not self._stopped:
            while len(under_way) < at_once and (feed := _next(feeds)) is not None:
                feed.room = room
                under_way.append((feed, self._reading(feed)))
            if not under_way:
                return
            read = [(feed, self._read(frames)) for feed, frames in self._roomy(under_way, room)]
            over = self._hand_over(read)
            for feed, frames in under_way:
                if feed in over:
                    self._end(frames)
            under_way = [each for each in under_way if each[0] not in over]
        for _, frames in under_way:
            self._end(frames)

    def _roomy(
        self, under_way: list[tuple[_Feed[Owner], Frames]], room: threading.Condition
    ) -> list[tuple[_Feed[Owner], Frames]]:
        """Those whose next frame may be read; waits until there is one, or all is over."""
        with self._lock:
            while not self._stopped:
                if roomy := [each for each in under_way if _has_room(each[0])]:
                    return roomy
                room.wait(_POLL_S)
        return []

    def _end(self, frames: Frames) -> None:
        """Closes what is read; a fault of ours is raised again where batches are taken."""
        try:
            _close(frames.close)
        except BaseException as e:  # noqa: BLE001
            self._fault = e

    def _read(self, frames: Frames) -> Frame | End:
        """The next frame of a source, or its end and what ended it."""
        try:
            return next(frames, None) or End()
        except PosertError as e:
            return End(e)
        except BaseException as e:  # noqa: BLE001  it is raised again where batches are taken
            self._fault = e
            return End()

    def _reading(self, feed: _Feed[Owner]) -> Frames:
        """The frames of one source, which is opened first and closed in the end."""
        source = feed.order.open()
        try:
            with self._lock:
                if self._stopped:
                    return
                feed.source, feed.live = source, source.info.live
            yield from self._frames(source)
        finally:
            source.close()
            with self._lock:
                feed.source = None  # what it holds is free, however many come after it

    def _frames(self, source: Source) -> Iterator[Frame]:
        if source.info.live:  # frames passed over do not count, and waiting is no work
            return source.frames(replace(self._span, max_frames=None))
        return self._times.timed("decode", source.frames(self._span))

    def _hand_over(self, read: list[tuple[_Feed[Owner], Frame | End]]) -> set[_Feed[Owner]]:
        """Hands over what was read; the sources of which no more is wanted."""
        with self._lock:
            return {feed for feed, item in read if not self._offer(feed, item)}

    def _offer(self, feed: _Feed[Owner], item: Frame | End) -> bool:
        if feed.live and isinstance(item, Frame):
            if feed.waiting and not feed.closed and feed.source is not None:
                feed.waiting[-1] = _taken(feed, item)
                feed.source.dropped += 1
                return not self._stopped
        else:
            while not feed.waiting and self._full() and not (feed.closed or self._stopped):
                self._fewer.wait(_POLL_S)
        if feed.closed or self._stopped:
            return False
        self._put(feed, item)
        return not feed.closed

    def _full(self) -> bool:
        """Whether enough waits already: of a thousand pictures each is a source of its own."""
        if self._waiting < self._most_waiting:
            return False
        return sum(len(feed.waiting) for feed in self._turns) >= self._most_waiting

    def _put(self, feed: _Feed[Owner], item: Frame | End) -> None:
        feed.closed = isinstance(item, End)
        self._wait(feed, _taken(feed, item))

    def _wait(self, feed: _Feed[Owner], taken: Taken[Owner]) -> None:
        feed.waiting.append(taken)
        self._waiting += 1
        self._line_up(feed)
        if self._waiting >= self._wanted:
            self._ready.notify()

    def _line_up(self, feed: _Feed[Owner], *, first: bool = False) -> None:
        most = feed.order.most_out
        if feed.waiting and not feed.in_turn and (most is None or feed.out < most):
            feed.in_turn = True
            if first:
                self._turns.appendleft(feed)
            else:
                self._turns.append(feed)


def _taken(feed: _Feed[Owner], item: Frame | End) -> Taken[Owner]:
    arrived = isinstance(item, Frame) and item.seen_s == item.seen_s
    came_s = item.seen_s if isinstance(item, Frame) and arrived else time.monotonic()
    return Taken(feed.order.owner, item, came_s)


def _has_room(feed: _Feed[Any]) -> bool:
    """A live source is never waited for: its newest frame takes the place of the last."""
    return feed.live or feed.closed or len(feed.waiting) < WAITING


def _sends(source: Source) -> bool:
    """Whether a live source is expected to send: who waits for a stalled one waits in vain."""
    return source.health is None or source.health.state is State.LIVE


def _next(feeds: deque[_Feed[Owner]]) -> _Feed[Owner] | None:
    try:
        return feeds.popleft()
    except IndexError:
        return None


def _close(close: Callable[[], None]) -> None:
    """Frees a source; what fails then is said, and harms nothing that was read."""
    try:
        close()
    except PosertError as e:
        log.warning("closing a source: %s", e)
