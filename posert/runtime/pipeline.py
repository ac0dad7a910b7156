"""Sources from frames to sinks. The only module that knows the order of the stages.

    source, source, ... -> [decode] -> batches -> [engine + parse, several threads]
        -> [track and smooth -> data sinks] -> source's outlet: [draw] -> [encode]

Each bracket has threads of its own behind a bounded queue; each source's order is kept.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from posert.errors import PosertError
from posert.runtime.deadline import Deadline
from posert.runtime.engine import on_cpu
from posert.runtime.estimator import Estimator
from posert.runtime.estimator import Inferred as Outputs
from posert.runtime.flow import ordered_map
from posert.runtime.scheduler import WAITING, Batch, End, Scheduler, Taken
from posert.runtime.sinks.sink import Sink
from posert.runtime.sources.source import Span
from posert.runtime.stream import Job, OnFrame, Stream
from posert.types import Frame, People, Result

T = TypeVar("T")
Ticket = TypeVar("Ticket")  # of a batch that is parsed elsewhere

Found: TypeAlias = tuple[Taken[Stream], "Result | None"]
# when a batch left, and what finishes it in the thread that writes data
Finish: TypeAlias = Callable[[], "list[Found]"]
Inferred: TypeAlias = tuple[float, Batch[Stream], Finish]

_BEHIND: Final = 8  # frames of one source that wait to be drawn and written
_ELSEWHERE: Final = 8  # batches that other processes parse
_ENDING: Final = 8  # outlets that may complete their files while other sources run, if alone


class Parsed(Protocol):
    """What other processes made of a batch."""

    people: list[People | PosertError]  # of each frame; an error costs its source


P = TypeVar("P", bound=Parsed)


class Parsing(Protocol[Ticket, P]):
    """Processes that parse what the engine says, follow people and make the data."""

    def put(self, batch: Batch[Stream], inferred: Sequence[Outputs], /) -> Ticket:
        """Hands a batch over, in order."""
        ...

    def take(self, ticket: Ticket, /) -> P:
        """Waits for what became of it."""
        ...

    def write(self, parsed: P, /) -> None:
        """Writes its data."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """What happens to the frames of all sources."""

    estimate: Estimator
    sinks: list[Sink]
    at_once: int = 1  # files read at once; live sources all are
    readers: int | None = None  # threads that read them; None: one a file
    workers: int | None = None  # threads of inference; None: those that the engine asks for
    parse_apart: bool = False  # in the thread that writes data, not in those of inference
    parsing: Parsing[Any, Any] | None = None  # in other processes, which fill the sinks
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
    batches = _stamped(scheduler.batches(stop, stages.alive))
    begin = partial(
        ordered_map, items=batches, workers=workers, depth=depth, name="estimate", stop=stop,
        yielding=on_cpu(estimate.engine),  # it would hold up those who write what it finds
    )  # fmt: skip
    if stages.parsing is None:
        found = begin(_inferring(stages))
    else:
        found = _parsed_elsewhere(begin(_only_inferring(estimate)), stages.parsing)
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
            inferred = estimate.infer_batch(frames)
            return left_s, batch, lambda: _finish(batch, estimate.parse_batch(inferred), stages)
        people = estimate.batch(frames)
        return left_s, batch, lambda: _finish(batch, people, stages)

    return infer


def _only_inferring(
    estimate: Estimator,
) -> Callable[[tuple[float, Batch[Stream]]], tuple[float, Batch[Stream], list[Outputs]]]:
    """The same where other processes parse."""

    def infer(
        stamped: tuple[float, Batch[Stream]],
    ) -> tuple[float, Batch[Stream], list[Outputs]]:
        frames = [taken.item for taken in stamped[1] if isinstance(taken.item, Frame)]
        return *stamped, estimate.infer_batch(frames)

    return infer


def _parsed_elsewhere(
    inferred: Generator[tuple[float, Batch[Stream], list[Outputs]], None, None],
    parsing: Parsing[Ticket, P],
) -> Generator[Inferred, None, None]:
    """Batches as other processes have parsed them; several are under way."""

    def put() -> Generator[tuple[float, Batch[Stream], Ticket], None, None]:
        with closing(inferred):
            for left_s, batch, outputs in inferred:
                yield left_s, batch, parsing.put(batch, outputs)

    def take(given: tuple[float, Batch[Stream], Ticket]) -> Inferred:
        left_s, batch, ticket = given
        parsed = parsing.take(ticket)
        return left_s, batch, lambda: _finish_parsed(batch, parsed, parsing)

    return ordered_map(take, put(), workers=1, depth=_ELSEWHERE, name="parse")


def _deliver_all(found: Iterable[Inferred], stages: Stages, deadline: Deadline) -> None:
    """Data at once, pictures to the outlets of their sources."""
    ending: deque[Stream] = deque()
    for left_s, batch, finish in found:
        items = finish()
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


def _finish(batch: Batch[Stream], found: list[People], stages: Stages) -> list[Found]:
    """A batch, what was found in each frame beside it; the data are written at once."""
    people = iter(found)
    items = [
        (taken, taken.owner.result(taken.item, next(people)))
        if isinstance(taken.item, Frame)
        else (taken, None)
        for taken in batch
    ]
    _write_data(items, stages)
    return items


def _finish_parsed(batch: Batch[Stream], parsed: P, parsing: Parsing[Ticket, P]) -> list[Found]:
    """The same where other processes have parsed it and made the data."""
    parsing.write(parsed)
    people = iter(parsed.people)
    items: list[Found] = []
    for taken in batch:
        result, stream = None, taken.owner
        if isinstance(taken.item, Frame):
            found = next(people)
            if isinstance(found, PosertError):
                stream.fail(found)
            else:
                result = stream.followed(taken.item, found)
        items.append((taken, result))
    return items


def _write_data(items: list[Found], stages: Stages) -> None:
    """What was found in a batch, at once; the pictures come later."""
    results = [result for _, result in items if result is not None]
    if not results or not stages.sinks:
        return
    with stages.estimate.times.measure("data", len(results)):
        for sink in stages.sinks:
            sink.write(results)
