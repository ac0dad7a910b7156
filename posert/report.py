"""What a run did, and what it is doing: the report at its end, the status while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posert.errors import SOME_INPUTS_FAILED, PosertError
from posert.runtime.pipeline import Tally
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


@contextmanager
def status_kept(path: Path | None, tallies: Sequence[Tally]) -> Iterator[Callable[[], None]]:
    """Keeps the status file ``path`` up to date: call what it yields often, frames or not.

    A run that fails leaves its exit code there.
    """
    if path is None:
        yield lambda: None
        return
    file = StatusFile(path)

    def update() -> None:
        file.update(map(_status_of, tallies))

    update()
    try:
        yield update
    except BaseException as e:
        interrupted = 130 if isinstance(e, KeyboardInterrupt) else 1
        code = e.exit_code if isinstance(e, PosertError) else interrupted
        file.close(code, map(_status_of, tallies))
        raise


def close_status(path: Path | None, report: Report) -> None:
    """The last word of the status: how the run ended."""
    if path is not None:
        StatusFile(path).close(report.exit_code, map(_status_of, report.sources))


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
