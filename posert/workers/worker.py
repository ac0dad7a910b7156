"""What a worker does: its share of the sources, in a process of its own."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final

from posert.errors import PosertError
from posert.runtime.sinks.sink import DataSink
from posert.runtime.stream import Tally
from posert.workers.messages import Command, Done, Link, Made, News, Ready, Refused, Said, Task

_EVERY_S: Final = 0.1  # between news


def main(handle: int) -> None:
    """Runs the task that comes through the pipe ``handle``, a file descriptor."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the run is told, and tells its workers
        signal.signal(number, signal.SIG_IGN)
    link = Link(Connection(handle))
    task = link.receive()
    if isinstance(task, Task):
        log_to(link, task.levels)
        try:
            _work(link, task)
        except PosertError:  # of the link alone: the run is gone, and all files are complete
            return


def _work(link: Link, task: Task) -> None:
    try:
        part = task.begin(task.work, task.settings)
    except PosertError as e:
        link.send(Refused(e))
        return
    link.send(Ready(part.engine))
    if link.receive() is not Command.GO:
        return
    stop = threading.Event()
    threading.Thread(target=_listen, args=(link, stop), name="commands", daemon=True).start()
    told = _Told(link, task.tallies)
    sinks = [DataSink(each, _Sent(link, i)) for i, each in enumerate(task.formats)]
    failure = None
    try:
        part.run(stop, lambda tally: None, told.often, sinks)
    except PosertError as e:
        failure = e
    told.now()
    link.send(Done(part.times, failure))


def _listen(link: Link, stop: threading.Event) -> None:
    """A command to stop, and the end of the run itself, end the share: all files are completed."""
    link.receive()
    stop.set()


class _Sent:
    """The file of a data sink, which another process has."""

    def __init__(self, link: Link, place: int) -> None:
        self._link = link
        self._place = place

    def write(self, packed: Any, /) -> None:
        self._link.send(Made(self._place, packed))

    def close(self) -> None:
        return


class _Told:
    """Tells how the sources fare."""

    def __init__(self, link: Link, tallies: Sequence[Tally]) -> None:
        self._link = link
        self._open = dict(enumerate(tallies))  # those of which more is to be told
        self._due_s = 0.0

    def often(self) -> None:
        """To be called at any time: ten times a second something is told."""
        if time.monotonic() >= self._due_s:
            self.now()

    def now(self) -> None:
        begun = [(i, t) for i, t in self._open.items() if t.opened or t.done or t.error is not None]
        news = [(i, _copy(tally)) for i, tally in begun]
        for i, tally in news:
            if tally.done:
                del self._open[i]
        self._link.send(News(news))
        self._due_s = time.monotonic() + _EVERY_S


def _copy(tally: Tally) -> Tally:
    """``tally`` as it is now; the ages are taken out of it."""
    ages: deque[float] = deque()
    while tally.ages_s:
        ages.append(tally.ages_s.popleft())
    return replace(tally, ages_s=ages, outputs=list(tally.outputs))


class _Lines(logging.Handler):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._link.send(Said(record.name, record.levelno, record.getMessage()))
        except PosertError:  # nobody listens any more
            return


def log_to(link: Link, levels: dict[str, int]) -> None:
    """Sends the log lines of these levels to the run."""
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)
    logging.getLogger().addHandler(_Lines(link))
