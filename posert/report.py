"""What a run did, and what it is doing: the report at its end, the status while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from posert.errors import SOME_INPUTS_FAILED, PosertError
from posert.runtime.pipeline import Tally
from posert.runtime.timing import StageTime
from posert.status import SourceStatus, StatusFile

_STATUS_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class Report:
    """What a run did."""

    sources: tuple[Tally, ...]
    seconds: float  # on the clock, models loaded and outputs open
    stages: tuple[StageTime, ...]
    engine: str
    stopped: bool  # ended by the user before its end
    outputs: tuple[Path, ...] = ()  # files of all inputs together
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
        """0, the code of the only failure, or 7 where some inputs failed and others are done."""
        if self.failure is not None:
            return self.failure.exit_code
        failed = [tally.error for tally in self.sources if tally.error is not None]
        if not failed:
            return 0
        return failed[0].exit_code if len(failed) == len(self.sources) else SOME_INPUTS_FAILED


@contextmanager
def status_kept(path: Path | None, tallies: Sequence[Tally]) -> Iterator[StatusFile | None]:
    """Keeps the status file ``path`` up to date with ``tallies``, whether frames come or not."""
    if path is None:
        yield None
        return
    file, ended = StatusFile(path), threading.Event()

    def keep() -> None:
        while not ended.wait(_STATUS_EVERY_S):
            file.update(map(_status_of, tallies))

    file.update(map(_status_of, tallies))
    thread = threading.Thread(target=keep, name="status", daemon=True)
    thread.start()
    try:
        yield file
    finally:
        ended.set()
        thread.join()


def close_status(file: StatusFile | None, report: Report) -> None:
    """The last word of the status: how the run ended."""
    if file is not None:
        file.close(report.exit_code, map(_status_of, report.sources))


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
