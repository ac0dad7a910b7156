"""One source's life in a run: opened, its frames delivered, its files completed, all counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from posert.errors import PosertError, StreamEnded
from posert.runtime.outlet import Draw, Outlet, Show, WriteImage
from posert.runtime.scheduler import End, Order, Scheduler, Taken
from posert.runtime.sources.source import Health, Source
from posert.runtime.timing import StageTimes
from posert.types import Capped, Frame, People, Result, SourceInfo

log = logging.getLogger(__name__)

Follow: TypeAlias = Callable[[People, float], People]  # people of the frame at so many seconds

_AGES_KEPT: Final = 10_000  # most recent frames that the age speaks of


@dataclass(slots=True, eq=False)
class Tally:
    """What became of one source; grows while it runs."""

    source: str
    expected: int | None = None  # frames its header promises
    frames: int = 0  # processed and written
    people: int = 0  # found, over all frames
    followed: int = 0  # different people among them
    skipped: int = 0  # damaged frames left out
    dropped: int = 0  # frames of a live source that came too fast
    late: int = 0  # frames of a live source that were done after the deadline
    capped: Capped = Capped()
    outputs: list[Path] = field(default_factory=list)  # once they are complete
    error: PosertError | None = None  # why it ended early
    health: Health | None = None  # of a live source
    # from a frame's coming to its data being written, the most recent ones
    ages_s: deque[float] = field(default_factory=lambda: deque(maxlen=_AGES_KEPT))
    live: bool = False  # a camera or stream, as far as its name tells
    opened: bool = False
    done: bool = False

    @property
    def state(self) -> str:
        """In one word, as `posert health` knows it."""
        if self.error is not None:
            return "failed"
        if self.done:
            return "ended"
        if self.health is not None:
            return self.health.state.value
        if self.opened:
            return "running"
        return "connecting" if self.live else "waiting"

    @property
    def age_s(self) -> float | None:
        """Median time of a live frame from its arrival to its data being written, seconds."""
        known = self.live and self.ages_s  # a file's frames wait as long as they like
        return float(np.median(self.ages_s)) if known else None


@dataclass(frozen=True, slots=True)
class Files:
    """Where the drawn frames of one source go."""

    writers: list[WriteImage]
    close: Callable[[], None]
    draw: Draw
    show: Show | None = None  # a tile of a wall


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A source and what becomes of it."""

    tally: Tally
    open: Callable[[], Source]
    files: Callable[[Source], Files] | None  # called once it is open; None where nobody looks
    follow: Follow | None = None  # gives people ids; called with each frame, in order
    name: str | None = None  # what data calls it; None: its own
    # called when its files are complete, or it never had any, with why it ended early
    ended: Callable[[PosertError | None], None] = lambda error: None


OnFrame = Callable[[Tally], None]  # called after each frame, from any thread


class Stream:
    """One source on its way through the stages."""

    def __init__(
        self, job: Job, times: StageTimes, on_frame: OnFrame, max_latency_s: float | None
    ) -> None:
        self.scheduler: Scheduler[Stream] | None = None
        self.fault: BaseException | None = None
        self._job = job
        self._tally = job.tally
        self._times = times
        self._on_frame = on_frame
        self._max_latency_s = max_latency_s
        self._source: Source | None = None  # from its opening to its end
        self._info: SourceInfo | None = None  # as data calls it
        self._outlet: Outlet | None = None
        self._lock = threading.Lock()
        self._ended = False

    def order(self, most_out: int) -> Order[Stream]:
        """What the scheduler is to read."""
        drawn = self._job.files is not None
        own_turn = self._tally.live
        return Order(self, self._open, own_turn, most_out if drawn else None)

    @property
    def info(self) -> SourceInfo | None:
        """Of its source, as data call it, from its opening to its end."""
        return self._info

    @property
    def follow(self) -> Follow | None:
        """What gives its people ids, where it does not stand still."""
        return None if self._info is None or self._info.still else self._job.follow

    def result(self, frame: Frame, people: People) -> Result | None:
        """What was found in the next frame, who is who among it; None once all is over."""
        if (follow := self.follow) is not None:
            with self._times.measure("track"):
                people = follow(people, frame.time_s)
        return self.followed(frame, people)

    def followed(self, frame: Frame, people: People) -> Result | None:
        """The same, where who is who is known already."""
        return None if self._info is None else Result(self._info, frame, people)

    def fail(self, error: PosertError) -> None:
        """Ends it early, beside its source's own troubles."""
        self._tally.error = self._tally.error or error
        self._drop()

    def deliver(self, taken: Taken[Stream], frame: Frame, people: People) -> None:
        """Hands the picture to the outlet, where there is one."""
        self._note_age(time.monotonic() - taken.came_s, live=frame.seen_s == frame.seen_s)
        if self._outlet is None:
            self._count(frame, people)
        else:
            self._outlet.put(frame, people, taken.came_s)

    def end(self, end: End) -> None:
        """No further frame comes; safe to call twice."""
        with self._lock:
            self._ended = True
        self._tally.error = self._tally.error or end.error
        if self._outlet is not None:
            self._outlet.end()
        else:
            self._job.ended(self._tally.error)

    def join(self) -> None:
        """Waits until its files are complete."""
        tally = self._tally
        if self._outlet is not None:
            self._outlet.join()
            tally.error, self.fault = tally.error or self._outlet.error, self._outlet.fault
        self._count_lost()
        self._source = self._info = self._outlet = None  # what they hold is free
        tally.done = True

    def _open(self) -> Source:
        """Opens the source and the files it goes to; in the thread that reads it."""
        source = self._job.open()
        try:
            with self._lock:
                if self._ended:
                    raise StreamEnded(f"{source.info.name}: opened too late")
                self._open_files(source)
        except BaseException:
            source.close()
            raise
        tally = self._tally
        tally.source = self._job.name or source.info.name
        tally.health, tally.opened = source.health, True
        return source

    def _open_files(self, source: Source) -> None:
        if self._job.files is not None:
            files = self._job.files(source)
            self._outlet = Outlet(
                files.draw, files.writers, files.close, self._times,
                show=files.show, done=self._written, failed=self._drop,
                ended=self._outlet_ended,
            )  # fmt: skip
        name = self._job.name or source.info.name
        self._source, self._info = source, replace(source.info, name=name)

    def _outlet_ended(self, error: PosertError | None) -> None:
        if error is not None and self._tally.error is None:
            self._tally.error = error
            if self._tally.live:  # a run of cameras may go on for days
                log.error("%s", error)
        self._job.ended(self._tally.error)

    def _written(self, frame: Frame, people: People) -> None:
        self._count(frame, people)
        if self.scheduler is not None:
            self.scheduler.finished(self)

    def _drop(self) -> None:
        if self.scheduler is not None:
            self.scheduler.drop(self)

    def _count(self, frame: Frame, people: People) -> None:
        tally = self._tally
        tally.frames += 1
        tally.people += len(people)
        if people.ids is not None:
            tally.followed = max(tally.followed, int(people.ids.max(initial=0)))
        self._count_lost()
        if people.capped and not tally.capped:
            log.warning(
                "%s: a cap was hit (%d peaks, %d people left out); it is counted from here on",
                tally.source, people.capped.peaks, people.capped.people,
            )  # fmt: skip
        tally.capped = tally.capped + people.capped
        self._on_frame(tally)

    def _count_lost(self) -> None:
        if self._source is not None:
            self._tally.skipped, self._tally.dropped = self._source.skipped, self._source.dropped

    def _note_age(self, age_s: float, *, live: bool) -> None:
        self._tally.ages_s.append(age_s)
        if live and self._max_latency_s is not None and age_s > self._max_latency_s:
            self._tally.late += 1
