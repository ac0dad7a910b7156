"""What a run says of itself in a file, and what may be concluded from it: ``posert health``."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from posert.errors import InputError, first_line

log = logging.getLogger(__name__)

Clock = Callable[[], float]  # seconds; of the whole machine, so that two processes agree

_EVERY_S: Final = 1.0
_ENDED_WELL: Final = (0, 130, 143)  # done, or stopped by a signal with all files completed
_IN_ORDER: Final = ("waiting", "running", "live", "ended")


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source at a moment. ``state``: of a live source, its health's; of a file as below."""

    name: str  # passwords removed
    state: str  # waiting, running, ended or failed; connecting, live, stalled, ended or failed
    frames: int = 0  # done
    dropped: int = 0
    reconnects: int = 0
    stalls: int = 0
    age_s: float | None = None  # of a live frame when it is done, median
    reason: str = ""  # of the last trouble, one line


@dataclass(frozen=True, slots=True)
class Status:
    """A status file, read."""

    clock_s: float  # when it was written, on the machine's monotonic clock
    sources: tuple[SourceStatus, ...]
    exit_code: int | None = None  # of a run that ended


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run is healthy, and the line that says why."""

    healthy: bool
    line: str


class StatusFile:
    """A small JSON file that a run replaces once a second at most. Nothing here ever raises.

    Call ``update`` at least once a second, whether or not frames come: a file that grows old
    means that the run hangs. Safe to call from several threads.
    """

    def __init__(self, path: Path, clock: Clock = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._due_s = -float("inf")
        self._sources: tuple[SourceStatus, ...] = ()
        self._closed = False
        self.failures = 0  # times it could not be written

    def update(self, sources: Iterable[SourceStatus] = ()) -> None:
        """Writes how all sources are, unless it was written within the last second."""
        with self._lock:
            now_s = self._clock()
            if now_s < self._due_s or self._closed:
                return
            self._due_s = now_s + _EVERY_S
            self._sources = tuple(sources)
            self._write(None)

    def close(self, exit_code: int, sources: Iterable[SourceStatus] | None = None) -> None:
        """Writes how the run ended; ``sources`` as last told where they are not given."""
        with self._lock:
            if sources is not None:
                self._sources = tuple(sources)
            self._closed = True
            self._write(exit_code)

    def _write(self, exit_code: int | None) -> None:
        data = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "clock_s": self._clock(),
            "pid": os.getpid(),
            "frames": sum(source.frames for source in self._sources),
            "exit_code": exit_code,
            "sources": [_plain(source) for source in self._sources],
        }
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps(data, allow_nan=False) + "\n", encoding="utf-8")
                part.replace(self._path)  # a reader sees the old file or the new one
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except (OSError, ValueError) as e:
            self.failures += 1
            if self.failures == 1:
                log.warning("%s: the status cannot be written: %s", self._path, first_line(e))


def _plain(source: SourceStatus) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    unknown = source.age_s is None or math.isnan(source.age_s)
    return {**asdict(source), "age_s": None if unknown else source.age_s}


def read_status(path: Path) -> Status:
    """The status that a run wrote.

    Raises:
        InputError: there is none, or it is none.
    """
    fix = f"is `posert run --status {path}` running?"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{path}: no status", got=e.strerror, fix=fix) from e
    except ValueError as e:
        raise InputError(f"{path}: is no status", got=first_line(e), fix=fix) from e
    try:
        return _status(data)
    except (TypeError, KeyError, ValueError) as e:
        raise InputError(f"{path}: is no status of posert", got=first_line(e), fix=fix) from e


def _status(data: Any) -> Status:
    ended = data["exit_code"]
    sources = tuple(SourceStatus(**source) for source in data["sources"])
    return Status(float(data["clock_s"]), sources, None if ended is None else int(ended))


def judge(status: Status, now_s: float, most_s: float = 10.0, strict: bool = False) -> Verdict:
    """Whether the run of ``status`` is healthy at ``now_s`` of the machine's monotonic clock.

    A camera that is off does not make a run unhealthy while the run tries to have it back: to
    start the program anew would not help. ``strict`` wants pictures of every source.
    """
    if status.exit_code is not None:
        return Verdict(status.exit_code in _ENDED_WELL, f"ended with code {status.exit_code}")
    old_s = now_s - status.clock_s
    if not 0 <= old_s <= most_s:
        since = f"{old_s:.0f} s old" if old_s > 0 else "of before this machine's start"
        return Verdict(False, f"the status is {since}: the run hangs or was killed")
    if not status.sources:
        return Verdict(False, "starting: no source is open yet")
    states = [source.state for source in status.sources]
    if strict:
        return Verdict(all(state in _IN_ORDER for state in states), _told(status.sources))
    return Verdict(any(state != "failed" for state in states), _told(status.sources))


def _told(sources: tuple[SourceStatus, ...]) -> str:
    """``2 live; front: stalled (no picture for 5 s)``."""
    good = [source.state for source in sources if source.state in _IN_ORDER]
    counts = [f"{good.count(state)} {state}" for state in _IN_ORDER if state in good]
    bad = [source for source in sources if source.state not in _IN_ORDER]
    told = [f"{s.name}: {s.state}" + (f" ({s.reason})" if s.reason else "") for s in bad]
    return "; ".join(filter(None, [", ".join(counts), *told]))
