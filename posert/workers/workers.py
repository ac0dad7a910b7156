"""A run's sources in several processes: data come back in order, a dead worker costs its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import fields
from multiprocessing.connection import wait
from typing import Any, Final

from posert.errors import PosertError
from posert.postprocess.topology import Topology
from posert.runtime.sinks import data_files, data_formats
from posert.runtime.sinks.sink import DataSink
from posert.runtime.stream import OnFrame, Tally
from posert.runtime.timing import StageTimes
from posert.settings import RunSettings
from posert.workers.messages import (
    Begin,
    Command,
    Done,
    Made,
    News,
    Ready,
    Refused,
    Said,
    Task,
)
from posert.workers.process import Worker, levels
from posert.workers.shares import Share, data_paths, environment, of_share

log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_SILENT_S: Final = 5.0  # a worker that tells nothing for so long hangs
_STOPS_S: Final = 2.0  # a worker that takes longer to stop is told of
_TAKEN_OVER: Final = tuple(f.name for f in fields(Tally) if f.name != "ages_s")


class Workers:
    """The sources of a run in several processes. Use it in a ``with`` block, which ends them."""

    def __init__(
        self,
        begin: Begin,
        work: Sequence[tuple[Tally, Any]],
        inputs: Sequence[str],
        settings: RunSettings,
        topology: Topology,
        shares: Sequence[Share],
    ) -> None:
        """Starts them and opens their engines: the first that needs one built builds it for all.

        Args:
            begin: opens an engine for some sources; a function of a module.
            work: each source's tally, and what ``begin`` takes for it.
            inputs: what was given for each source.
            settings: those of the run.
            topology: the model's.
            shares: which sources each has.

        Raises:
            PosertError: an engine cannot be opened, or all workers died.
        """
        self.times = StageTimes()
        self._engines: list[str] = []
        self._settings = settings
        self._topology = topology
        self._running: list[Worker] = []
        self._failures: list[PosertError] = []
        self._count = len(shares)
        formats = data_formats(topology, **data_paths(settings))
        try:
            for place, share in enumerate(shares):
                worker = Worker(f"worker {place + 1}", environment(share))
                self._running.append(worker)
                mine = [work[i] for i in share.sources]
                worker.begin(Task(
                    begin, [each for _, each in mine], [tally for tally, _ in mine],
                    of_share(settings, inputs, share, len(shares)), formats, levels(),
                ))  # fmt: skip
            self._await_engines()
        except BaseException:
            self._kill()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    @property
    def engine(self) -> str:
        """The engines' name, for the report."""
        return f"{' and '.join(dict.fromkeys(self._engines))}, {self._count} processes"

    def run(self, stop: threading.Event, on_frame: OnFrame, alive: Callable[[], None]) -> None:
        """Runs all sources to their ends, or until ``stop`` is set; counts in their tallies.

        A worker that dies, or whose engine fails, costs its own sources: the reason is in their
        tallies, and in the log.

        Args:
            stop: ends the run early; all files are completed.
            on_frame: called some ten times a second for each source that got on.
            alive: called often, unless a worker hangs.

        Raises:
            PosertError: a file of all sources cannot be written, or all workers failed.
        """
        with ExitStack() as files:
            sinks = data_files(self._topology, **data_paths(self._settings))
            for sink in sinks:
                files.callback(sink.close)
            for worker in self._running:
                worker.heard_s = time.monotonic()
                worker.send(Command.GO)
            self._take_all(_Taker(sinks, on_frame), stop, alive)
        if len(self._failures) == self._count:
            raise self._failures[0]

    def _await_engines(self) -> None:
        waiting = list(self._running)
        while waiting:
            for worker in _heard(waiting):
                message = worker.receive()
                if isinstance(message, Said):
                    _say(message)
                    continue
                waiting.remove(worker)
                if isinstance(message, Refused):
                    raise message.error
                if isinstance(message, Ready):
                    self._engines.append(message.engine)
                else:
                    self._lose(worker, worker.why_gone())
        if not self._running:
            raise self._failures[0]

    def _take_all(self, taker: _Taker, stop: threading.Event, alive: Callable[[], None]) -> None:
        told_s: float | None = None
        while self._running:
            if told_s is None and (stop.is_set() or taker.failure is not None):
                told_s = time.monotonic()
                for worker in self._running:
                    worker.send(Command.STOP)
            if told_s is not None and time.monotonic() - told_s > _STOPS_S:
                told_s = math.inf  # once
                names = ", ".join(worker.name for worker in self._running)
                log.warning("waiting for %s; press Ctrl-C again to end at once", names)
            for worker in _heard(self._running):
                message = worker.receive()
                if isinstance(message, Done):
                    self._finish(worker, message)
                elif message is None:
                    self._lose(worker, worker.why_gone())
                else:
                    taker.take(worker, message)
            silent_since = time.monotonic() - _SILENT_S
            if all(worker.heard_s > silent_since for worker in self._running):
                alive()
        if taker.failure is not None:
            raise taker.failure

    def _finish(self, worker: Worker, done: Done) -> None:
        self.times.join(done.times)
        if done.failure is None:
            self._running.remove(worker)
        else:
            self._lose(worker, done.failure, closed=True)
        worker.join()

    def _lose(self, worker: Worker, error: PosertError, *, closed: bool = False) -> None:
        """Its sources that are not at their ends have failed; the others go on.

        One that ``closed`` has completed the files of all, wherever they were.
        """
        self._running.remove(worker)
        self._failures.append(error)
        cut = [tally for tally in worker.tallies if not _is_whole(tally, closed=closed)]
        log.error("%s: %d of its sources are cut short", error, len(cut))
        for tally in cut:
            tally.error = tally.error or type(error)(f"{tally.source}: {error}")
            tally.done = True

    def _kill(self) -> None:
        while self._running:
            self._running.pop().kill()


class _Taker:
    """Takes what workers say while they run."""

    def __init__(self, sinks: Sequence[DataSink[Any]], on_frame: OnFrame) -> None:
        self.failure: PosertError | OSError | None = None  # of a file of all sources
        self._sinks = sinks
        self._on_frame = on_frame

    def take(self, worker: Worker, message: object) -> None:
        if isinstance(message, Made):
            self._write(message)
        elif isinstance(message, News):
            self._hear(worker, message)
        elif isinstance(message, Said):
            _say(message)

    def _write(self, made: Made) -> None:
        if self.failure is not None:
            return
        try:
            self._sinks[made.format].add(made.packed)
        except (PosertError, BrokenPipeError) as e:
            self.failure = e

    def _hear(self, worker: Worker, news: News) -> None:
        worker.heard_s = time.monotonic()
        for place, theirs in news.tallies:
            ours = worker.tallies[place]
            got_on = theirs.frames != ours.frames
            for name in _TAKEN_OVER:
                setattr(ours, name, getattr(theirs, name))
            ours.ages_s.extend(theirs.ages_s)
            if got_on:
                self._on_frame(ours)


def _heard(workers: Iterable[Worker]) -> list[Worker]:
    """Those that have something to say, or are gone; waits a moment for the first."""
    by_connection = {worker.connection: worker for worker in workers}
    return [by_connection[each] for each in wait(list(by_connection), _POLL_S)]  # type: ignore[index]


def _is_whole(tally: Tally, *, closed: bool) -> bool:
    """Whether it came to its end, as far as can be known; ``closed``: all are done, or cut."""
    if tally.error is not None:
        return True
    if not closed:
        return tally.done
    return tally.expected is not None and tally.frames >= tally.expected


def _say(said: Said) -> None:
    logging.getLogger(said.logger).log(said.level, "%s", said.line)
