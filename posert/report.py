"""What a run did, and what it is doing: the report at its end, the status while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posert.errors import SOME_INPUTS_FAILED, PosertError
from posert.runtime.stream import Tally
from posert.runtime.timing import StageTime
from posert.status import SourceStatus, StatusFile


class Stop(threading.Event):
    """What ends a run early, and the exit code that the run has then if nothing failed."""

    exit_code = 0


@dataclass(frozen=True)
class Report:
    """What a run did."""

    sources: tuple[Tally, ...]
    seconds: float  # on the clock, models loaded and outputs open
    stages: tuple[StageTime, ...]
    engine: str
    stopped: bool  # ended by the user before its end
    outputs: tuple[Path, ...] = ()  # files of all inputs together
    stop_code: int = 0  # the exit code of a run that was stopped, where nothing failed
    failure: PosertError | None = None  # of the engine, or of an output shared by all inputs

    @property
    def frames(self) -> int:
        return sum(tally.frames for tally in self.sources)

    @property
    def people(self) -> int:
        return sum(tally.people for tally in self.sources)

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """0, the code of the only failure, or 7 where some inputs failed and others are done.

        A run that was stopped, and in which nothing failed, has ``stop_code``.
        """
        if self.failure is not None:
            return self.failure.exit_code
        failed = [tally.error for tally in self.sources if tally.error is not None]
        if not failed:
            return self.stop_code if self.stopped else 0
        return failed[0].exit_code if len(failed) == len(self.sources) else SOME_INPUTS_FAILED


class RunStatus:
    """The status file of a run; nothing where none is asked for."""

    def __init__(self, path: Path | None, tallies: Sequence[Tally]) -> None:
        self._file = StatusFile(path) if path is not None else None
        self._tallies = tallies

    def update(self) -> None:
        """To be called often, whether frames come or not."""
        if self._file is not None:
            self._file.update(map(_status_of, self._tallies))

    def close(self, exit_code: int) -> None:
        """The last word: how the run ended."""
        if self._file is not None:
            self._file.close(exit_code, map(_status_of, self._tallies))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A run that is broken off leaves its exit code too."""
        self.update()
        try:
            yield
        except BaseException as e:
            interrupted = 130 if isinstance(e, KeyboardInterrupt) else 1
            self.close(e.exit_code if isinstance(e, PosertError) else interrupted)
            raise


def _status_of(tally: Tally) -> SourceStatus:
    health = tally.health
    return SourceStatus(
        name=tally.source,
        state=tally.state,
        frames=tally.frames,
        dropped=tally.dropped,
        reconnects=health.reconnects if health else 0,
        stalls=health.stalls if health else 0,
        age_s=tally.age_s,
        reason=str(tally.error) if tally.error else health.reason if health else "",
    )
