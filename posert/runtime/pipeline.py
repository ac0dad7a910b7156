"""Sources from frames to sinks. The only module that knows the order of the stages.

    source, source, ... -> [decode] -> batches -> [engine + parse, several threads] -> data sinks
                                                        `-> source's outlet: [draw] -> [encode]

Each bracket has threads of its own behind a bounded queue; each source's order is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from posert.errors import PosertError, StreamEnded
from posert.runtime.estimator import Estimator
from posert.runtime.flow import ordered_map
from posert.runtime.outlet import Draw, Outlet, WriteImage
from posert.runtime.scheduler import WAITING, Batch, End, Order, Scheduler
from posert.runtime.sinks.sink import Sink
from posert.runtime.sources.source import Health, Source, Span
from posert.types import Capped, Frame, People, Result

log = logging.getLogger(__name__)

Found: TypeAlias = "tuple[_Run, Frame | End, People | None]"

_BEHIND: Final = 8  # frames of one source that wait to be drawn and written
_ENDING: Final = 8  # outlets that may complete their files while other sources run
_AGES_KEPT: Final = 10_000  # most recent frames that the age speaks of


@dataclass(slots=True, eq=False)
class Tally:
    """What became of one source; grows while it runs."""

    source: str
    expected: int | None = None  # frames its header promises
    frames: int = 0  # processed and written
    people: int = 0  # found, over all frames
    skipped: int = 0  # damaged frames left out
    dropped: int = 0  # frames of a live source that came too fast
    capped: Capped = Capped()
    outputs: list[Path] = field(default_factory=list)  # once they are complete
    error: PosertError | None = None  # why it ended early
    health: Health | None = None  # of a live source
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
        return float(np.median(self.ages_s)) if self.ages_s else None


@dataclass(frozen=True, slots=True)
class Files:
    """Where the drawn frames of one source go."""

    writers: list[WriteImage]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A source and what becomes of it."""

    tally: Tally
    open: Callable[[], Source]
    files: Callable[[Source], Files] | None  # called once it is open; None where nobody looks


@dataclass(frozen=True, slots=True)
class Stages:
    """What happens to the frames of all sources."""

    estimate: Estimator
    draw: Draw
    sinks: list[Sink]
    at_once: int = 1  # files read at once; live sources all are
    readers: int | None = None  # threads that read them; None: one a file
    workers: int | None = None  # threads of inference; None: those that the engine asks for
    parse_apart: bool = False  # in the thread that writes data, not in those of inference
    alive: Callable[[], None] = lambda: None  # called often, unless a stage hangs


OnFrame = Callable[[Tally], None]  # called after each frame, from any thread


def process(
    jobs: list[Job], span: Span, stages: Stages, stop: threading.Event, on_frame: OnFrame
) -> None:
    """Runs all sources to their ends, or until ``stop`` is set; counts in their tallies.

    A source that fails has its error in its tally and ends alone.

    Raises:
        PosertError: the engine or a sink of all sources failed; all frames before it are written.
    """
    estimate = stages.estimate
    workers = stages.workers or estimate.engine.workers
    live = any(job.tally.live for job in jobs)
    depth = max(1, workers - 1) if live else workers + 2  # what waits here grows old
    runs = [_Run(job, stages, on_frame) for job in jobs]
    out = (workers + depth) * min(WAITING, estimate.engine.batch) + _BEHIND
    scheduler = Scheduler(
        [run.order(out) for run in runs], span, estimate.times,
        most=estimate.engine.batch, at_once=stages.at_once, readers=stages.readers,
    )  # fmt: skip
    for run in runs:
        run.scheduler = scheduler

    def infer(batch: Batch[_Run]) -> tuple[Batch[_Run], Callable[[], list[People]]]:
        frames = [item for _, item in batch if isinstance(item, Frame)]
        if stages.parse_apart:
            return batch, partial(estimate.parse_batch, estimate.infer_batch(frames))
        people = estimate.batch(frames)
        return batch, lambda: people

    batches = scheduler.batches(stop, stages.alive)
    found = ordered_map(infer, batches, workers=workers, depth=depth, name="estimate", stop=stop)
    try:
        _deliver_all(found, stages)
    finally:
        found.close()
        _complete(runs)


def _deliver_all(
    found: Iterable[tuple[Batch[_Run], Callable[[], list[People]]]], stages: Stages
) -> None:
    """Data at once, pictures to the outlets of their sources."""
    ending: deque[_Run] = deque()
    for batch, parsed in found:
        items = _with_people(batch, parsed())
        _write_data(items, stages)
        for run, item, people in items:
            if isinstance(item, End):
                run.end(item)
                ending.append(run)
            elif people is not None:
                run.deliver(item, people)
        while len(ending) > _ENDING:
            ending.popleft().join()


def _complete(runs: list[_Run]) -> None:
    """Completes the files of all, and raises the first fault of ours only then."""
    for run in runs:
        run.end(End())
    for run in runs:
        run.join()
    for run in runs:
        if run.fault is not None:
            raise run.fault


def _with_people(batch: Batch[_Run], found: list[People]) -> list[Found]:
    """A batch, the people of each frame beside it."""
    people = iter(found)
    return [(run, item, next(people) if isinstance(item, Frame) else None) for run, item in batch]


def _write_data(items: list[Found], stages: Stages) -> None:
    """What was found in a batch, at once; the pictures come later."""
    results = [
        Result(run.source.info, item, people)
        for run, item, people in items
        if isinstance(item, Frame) and people is not None and run.source is not None
    ]
    with stages.estimate.times.measure("data", len(results)):
        for sink in stages.sinks:
            sink.write(results)


class _Run:
    """One source on its way through the stages."""

    def __init__(self, job: Job, stages: Stages, on_frame: OnFrame) -> None:
        self.source: Source | None = None  # from its opening to its end
        self.scheduler: Scheduler[_Run] | None = None
        self.fault: BaseException | None = None
        self._job = job
        self._tally = job.tally
        self._stages = stages
        self._on_frame = on_frame
        self._outlet: Outlet | None = None
        self._lock = threading.Lock()
        self._ended = False

    def order(self, most_out: int) -> Order[_Run]:
        """What the scheduler is to read."""
        drawn = self._job.files is not None
        own_turn = self._tally.live
        return Order(self, self._open, own_turn, most_out if drawn else None)

    def deliver(self, frame: Frame, people: People) -> None:
        """Hands the picture to the outlet, where there is one."""
        if frame.seen_s == frame.seen_s:
            self._tally.ages_s.append(time.monotonic() - frame.seen_s)
        if self._outlet is None:
            self._count(frame, people)
        else:
            self._outlet.put(frame, people)

    def end(self, end: End) -> None:
        """No further frame comes; safe to call twice."""
        with self._lock:
            self._ended = True
        self._tally.error = self._tally.error or end.error
        if self._outlet is not None:
            self._outlet.end()

    def join(self) -> None:
        """Waits until its files are complete."""
        tally = self._tally
        if self._outlet is not None:
            self._outlet.join()
            tally.error, self.fault = tally.error or self._outlet.error, self._outlet.fault
        self._count_lost()
        self.source = self._outlet = None  # what they hold is free
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
        tally.source, tally.health, tally.opened = source.info.name, source.health, True
        return source

    def _open_files(self, source: Source) -> None:
        if self._job.files is not None:
            files = self._job.files(source)
            self._outlet = Outlet(
                self._stages.draw, files.writers, files.close, self._stages.estimate.times,
                done=self._written, failed=self._drop,
            )  # fmt: skip
        self.source = source

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
        self._count_lost()
        if people.capped and not tally.capped:
            log.warning(
                "%s: a cap was hit (%d peaks, %d people left out); it is counted from here on",
                tally.source, people.capped.peaks, people.capped.people,
            )  # fmt: skip
        tally.capped = tally.capped + people.capped
        self._on_frame(tally)

    def _count_lost(self) -> None:
        if self.source is not None:
            self._tally.skipped, self._tally.dropped = self.source.skipped, self.source.dropped
