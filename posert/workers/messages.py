"""What a run and its workers tell each other through a pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any, Protocol

from posert.errors import OutputError, PosertError
from posert.runtime.sinks.sink import DataSink, Format
from posert.runtime.stream import OnFrame, Tally
from posert.runtime.timing import StageTimes
from posert.settings import RunSettings


class Part(Protocol):
    """The sources of one process, their engine open."""

    engine: str  # its name, for the report
    times: StageTimes

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]],
    ) -> None:
        """Runs all to their ends, or until ``stop`` is set; ``alive`` is called often meanwhile.

        Raises:
            PosertError: the engine or a sink failed; all frames before it are written.
        """
        ...


# Opens the engine for some sources. It is looked up by its name in the other process.
Begin = Callable[[list[Any], RunSettings], Part]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """The first that a worker is told."""

    begin: Begin
    work: list[Any]  # its sources, as ``begin`` takes them
    tallies: list[Tally]  # of these sources, which ``work`` may hold too
    settings: RunSettings
    formats: list[Format[Any]]  # of the data that it makes and its run writes
    levels: dict[str, int]  # of loggers


class Command(Enum):
    """What a worker is told from then on."""

    GO = "go"
    STOP = "stop"


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A worker's engine is open; it waits for ``Command.GO``."""

    engine: str


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A worker cannot begin, for a reason that its user can act on."""

    error: PosertError


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Data of some frames: what a format, by its place, made of them."""

    format: int
    packed: Any


@dataclass(frozen=True, slots=True, eq=False)
class News:
    """How sources fare, by their place in the task; their ages are those since the last news."""

    tallies: list[tuple[int, Tally]]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A line for the log."""

    logger: str
    level: int
    line: str


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The last that a worker says: all its files are complete."""

    times: StageTimes
    failure: PosertError | None  # of its engine


class Link:
    """The end of the pipe in a process of ours; any thread may send."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Waits where the run is slower than its workers.

        Raises:
            OutputError: the run is not there any more.
        """
        with self._lock:
            try:
                self._connection.send(message)
            except OSError as e:
                raise OutputError("the run that this process belongs to has ended") from e

    def receive(self) -> Any:
        """What comes next; None when the run is not there any more."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            return None
