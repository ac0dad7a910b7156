"""Sources from frames to sinks. The only module that knows the order of the stages.

    source, source, ... -> [decode] -> batches -> [engine + parse, several threads]
        -> [track and smooth -> data sinks] -> source's outlet: [draw] -> [encode]

Each bracket has threads of its own behind a bounded queue; each source's order is kept.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar

from posert.runtime.deadline import Deadline
from posert.runtime.engine import on_cpu
from posert.runtime.estimator import Estimator
from posert.runtime.flow import ordered_map
from posert.runtime.scheduler import WAITING, Batch, End, Scheduler, Taken
from posert.runtime.sinks.sink import Sink
from posert.runtime.sources.source import Span
from posert.runtime.stream import Job, OnFrame, Stream
from posert.types import Frame, People, Result

T = TypeVar("T")

Found: TypeAlias = tuple[Taken[Stream], "Result | None"]
Inferred: TypeAlias = tuple[float, Batch[Stream], Callable[[], list[People]]]

_BEHIND: Final = 8  # frames of one source that wait to be drawn and written
_ENDING: Final = 8  # outlets that may complete their files while other sources run, if alone


@dataclass(frozen=True, slots=True)
class Stages:
    """What happens to the frames of all sources."""

    estimate: Estimator
    sinks: list[Sink]
    at_once: int = 1  # files read at once; live sources all are
    readers: int | None = None  # threads that read them; None: one a file
    workers: int | None = None  # threads of inference; None: those that the engine asks for
    parse_apart: bool = False  # in the thread that writes data, not in those of inference
    max_latency_s: float | None = None  # of a live frame
    together: bool = False  # an output of one source may wait for the others' frames
    alive: Callable[[], None] = lambda: None  # called often, unless a stage hangs


def process(
    jobs: list[Job], span: Span, stages: Stages, stop: threading.Event, on_frame: OnFrame
) -> None:
    """Runs all sources to their ends, or until ``stop`` is set; counts in their tallies.

    A source that fails has its error in its tally and ends alone.

    Raises:
        PosertError: the engine or a sink of all sources failed; all frames before it are written.
    """
    estimate, latency_s = stages.estimate, stages.max_latency_s
    workers = stages.workers or estimate.engine.workers
    live = any(job.tally.live for job in jobs)
    depth = max(1, workers - 1) if live else workers + 2  # what waits here grows old
    streams = [Stream(job, estimate.times, on_frame, latency_s) for job in jobs]
    out = (workers + depth) * min(WAITING, estimate.engine.batch) + _BEHIND
    deadline = Deadline(latency_s)
    scheduler = Scheduler(
        [stream.order(out) for stream in streams], span, estimate.times, deadline=deadline,
        most=estimate.engine.batch, at_once=stages.at_once, readers=stages.readers,
    )  # fmt: skip
    for stream in streams:
        stream.scheduler = scheduler
    found = ordered_map(
        _inferring(stages), _stamped(scheduler.batches(stop, stages.alive)),
        workers=workers, depth=depth, name="estimate", stop=stop,
        yielding=on_cpu(estimate.engine),  # it would hold up those who write what it finds
    )  # fmt: skip
    try:
        _deliver_all(found, stages, deadline)
    finally:
        found.close()
        _complete(streams)


def _stamped(batches: Generator[T, None, None]) -> Generator[tuple[float, T], None, None]:
    """Each batch with the time.monotonic() at which it left."""
    with closing(batches):
        for batch in batches:
            yield time.monotonic(), batch


def _inferring(stages: Stages) -> Callable[[tuple[float, Batch[Stream]]], Inferred]:
    """What the threads of inference do with a batch."""
    estimate = stages.estimate

    def infer(stamped: tuple[float, Batch[Stream]]) -> Inferred:
        left_s, batch = stamped
        frames = [taken.item for taken in batch if isinstance(taken.item, Frame)]
        if stages.parse_apart:
            return left_s, batch, partial(estimate.parse_batch, estimate.infer_batch(frames))
        people = estimate.batch(frames)
        return left_s, batch, lambda: people

    return infer


def _deliver_all(found: Iterable[Inferred], stages: Stages, deadline: Deadline) -> None:
    """Data at once, pictures to the outlets of their sources."""
    ending: deque[Stream] = deque()
    for left_s, batch, parsed in found:
        items = _with_results(batch, parsed())
        _write_data(items, stages)
        if frames := sum(isinstance(taken.item, Frame) for taken in batch):
            deadline.took(time.monotonic() - left_s, frames)
        for taken, result in items:
            stream = taken.owner
            if isinstance(taken.item, End):
                stream.end(taken.item)
                ending.append(stream)
            elif result is not None:
                stream.deliver(taken, taken.item, result.people)
        while len(ending) > _ENDING and not stages.together:
            ending.popleft().join()


def _complete(streams: list[Stream]) -> None:
    """Completes the files of all, and raises the first fault of ours only then."""
    for stream in streams:
        stream.end(End())
    for stream in streams:
        stream.join()
    for stream in streams:
        if stream.fault is not None:
            raise stream.fault


def _with_results(batch: Batch[Stream], found: list[People]) -> list[Found]:
    """A batch, what was found in each frame beside it."""
    people = iter(found)
    return [
        (taken, taken.owner.result(taken.item, next(people)))
        if isinstance(taken.item, Frame)
        else (taken, None)
        for taken in batch
    ]


def _write_data(items: list[Found], stages: Stages) -> None:
    """What was found in a batch, at once; the pictures come later."""
    results = [result for _, result in items if result is not None]
    with stages.estimate.times.measure("data", len(results)):
        for sink in stages.sinks:
            sink.write(results)
