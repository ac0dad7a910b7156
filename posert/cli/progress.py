"""What a run prints: a bar on a terminal, plain lines elsewhere, a short report at the end."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from posert.report import Report
from posert.runtime.stream import Tally

console = Console(stderr=True, highlight=False)

_TOLD = ("posert.building", "posert.runtime.sources.live")  # not only their troubles
_LINE_EVERY_S = 5.0
_BARS = 8  # shown at once
_NAMED_IN_A_FOLDER = 5  # of more files there only their number is told


def start_logging(quiet: bool) -> None:
    """Log lines to stderr: warnings, errors, builds and the lives of cameras; or errors only.

    In a file or pipe each is one line, that it may be searched.
    """
    level = logging.ERROR if quiet else logging.WARNING
    for told in _TOLD:
        logging.getLogger(told).setLevel(level if quiet else logging.INFO)
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_time=False, show_path=False)
        form = "%(message)s"
    else:
        handler, form = logging.StreamHandler(), "%(levelname)s %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[handler], force=True)


@dataclass(slots=True)
class _Pace:
    """How fast one source goes, from its first frame on."""

    tally: Tally
    began: float
    first: int  # frames done when it began
    task: TaskID | None

    @property
    def rate(self) -> float:
        seconds = time.monotonic() - self.began
        return (self.tally.frames - self.first) / seconds if seconds > 0 else 0.0


class Progress:
    """Frames, frames/s and an estimate of the time left, from the pipeline's tallies."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._paces: dict[int, _Pace] = {}  # of the sources under way, by the tally's id
        self._printed = time.monotonic()
        self._bar = _bar() if console.is_terminal and not quiet else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, tally: Tally) -> None:
        """Called after each frame, from one thread at a time."""
        if id(tally) not in self._paces:
            self._forget_done()
            self._paces[id(tally)] = _Pace(
                tally, time.monotonic(), tally.frames, self._new_task(tally)
            )
        pace = self._paces[id(tally)]
        if self._bar is not None and pace.task is not None:
            rate = f"{pace.rate:.1f} frames/s"
            self._bar.update(pace.task, completed=tally.frames, rate=rate)
        elif not self._quiet and time.monotonic() - self._printed >= _LINE_EVERY_S:
            self._printed = time.monotonic()
            self._forget_done()
            console.print(_lines(list(self._paces.values())), soft_wrap=True)

    def _forget_done(self) -> None:
        for key, pace in list(self._paces.items()):
            if pace.tally.done:
                del self._paces[key]
                if self._bar is not None and pace.task is not None:
                    self._bar.remove_task(pace.task)  # a folder of pictures would flood it

    def _new_task(self, tally: Tally) -> TaskID | None:
        if self._bar is None or len(self._paces) >= _BARS:
            return None
        return self._bar.add_task(tally.source, total=tally.expected, rate="")


def print_report(report: Report, quiet: bool) -> None:
    """The report on stderr; with ``quiet`` only what went wrong."""
    for tally in report.sources:
        if tally.error is not None:
            named = tally.live and tally.source not in str(tally.error)
            name = f"{tally.source}: " if named else ""
            _say(f"posert: {name}{tally.error}")
        if tally.skipped:
            _say(f"posert: {tally.source}: {tally.skipped} damaged frames skipped")
    if report.failure is not None:
        _say(f"posert: {report.failure}")
    for line in _not_begun(report):
        _say(line)
    if quiet:
        return
    for line in filter(None, map(_live_line, report.sources)):
        _say(line)
    _say(_summary(report))
    if report.stages:
        console.print(_stage_table(report))
    for line in _written(report):
        _say(line)


def _not_begun(report: Report) -> Iterator[str]:
    """Inputs of which nothing was seen, though nothing is wrong with them so far as is known."""
    waiting = [t for t in report.sources if not t.opened and not t.frames and t.error is None]
    for tally in waiting:
        if tally.live:
            yield f"posert: {tally.source}: never connected"
    others = any(tally.opened or tally.frames for tally in report.sources)
    files = [tally.source for tally in waiting if not tally.live and others]
    if len(files) > 1:
        yield f"posert: {files[0]} and {len(files) - 1} more inputs were not begun"
    elif files:
        yield f"posert: {files[0]}: was not begun"


def _say(text: str) -> None:
    """One plain line: no markup, no wrapping, so that it can be searched and piped."""
    print(text, file=sys.stderr)


def _written(report: Report) -> list[str]:
    """A line for each file that is there, or one for the many of a folder."""
    own = [path for tally in report.sources if tally.frames for path in tally.outputs]
    folders: dict[Path, list[Path]] = {}
    for path in (*own, *report.outputs):
        if str(path) != "-" and os.path.exists(path):
            folders.setdefault(path.parent, []).append(path)
    lines: list[str] = []
    for folder, paths in folders.items():
        if len(paths) > _NAMED_IN_A_FOLDER:
            lines.append(f"wrote {len(paths)} files in {folder}")
        else:
            lines += [f"wrote {path}" for path in paths]
    return lines


def _summary(report: Report) -> str:
    followed = sum(t.followed for t in report.sources)
    facts = [
        f"{report.frames} frames",
        f"{report.people} people ({report.people / max(1, report.frames):.1f} a frame"
        + (f", {followed} followed)" if followed else ")"),
        f"{report.frames_per_second:.1f} frames/s",
        f"{report.seconds:.1f} s",
        report.engine,
    ]
    counted = {
        "dropped": sum(t.dropped for t in report.sources),
        "late": sum(t.late for t in report.sources),
        "keypoints over the cap": sum(t.capped.peaks for t in report.sources),
        "people over the cap": sum(t.capped.people for t in report.sources),
    }
    facts += [f"{count} {what}" for what, count in counted.items() if count]
    return ("stopped: " if report.stopped else "done: ") + ", ".join(facts)


def _live_line(tally: Tally) -> str | None:
    """How a live source fared."""
    health = tally.health
    if health is None:
        return None
    facts = [f"{tally.frames} frames", f"{tally.dropped} dropped"]
    if tally.late:
        facts.append(f"{tally.late} late")
    if tally.age_s is not None:
        facts.append(f"{1000 * tally.age_s:.0f} ms old when written (median)")
    facts += [f"{health.stalls} stalls", f"{health.reconnects} reconnects"]
    last = f", last trouble: {health.reason}" if health.reason else ""
    return f"{tally.source}: {health.state.value}, {', '.join(facts)}{last}"


def _stage_table(report: Report) -> Table:
    table = Table("stage", box=None, pad_edge=False)
    for column in ("mean ms", "p50", "p95"):
        table.add_column(column, justify="right")
    for stage in report.stages:
        numbers: list[Any] = [stage.mean_ms, stage.p50_ms, stage.p95_ms]
        table.add_row(stage.stage, *(f"{number:.2f}" for number in numbers))
    return table


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _lines(paces: list[_Pace]) -> str:
    """The source under way, or the sum of all where there are several."""
    if len(paces) == 1:
        return _line(paces[0].tally, paces[0].rate)
    frames, rate = sum(p.tally.frames for p in paces), sum(p.rate for p in paces)
    return f"{len(paces)} sources: {frames} frames, {rate:.1f} frames/s"


def _line(tally: Tally, rate: float) -> str:
    if tally.expected is None:
        return f"{tally.source}: {tally.frames} frames, {rate:.1f} frames/s"
    done = f"{tally.source}: {tally.frames} of {tally.expected} frames"
    if not rate:
        return done
    left = (tally.expected - tally.frames) / rate
    return f"{done}, {rate:.1f} frames/s, {left:.0f} s left"
