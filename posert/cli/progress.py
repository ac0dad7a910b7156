"""What a run prints: a bar on a terminal, plain lines elsewhere, a short report at the end."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from posert.running import Report
from posert.runtime.pipeline import Tally

console = Console(stderr=True, highlight=False)

_LINE_EVERY_S = 5.0
_NAMED_IN_A_FOLDER = 5  # of more files there only their number is told


def start_logging(quiet: bool) -> None:
    """Log lines to stderr: warnings, errors and what is being built; with --quiet errors only."""
    level = logging.ERROR if quiet else logging.WARNING
    logging.getLogger("posert.building").setLevel(level if quiet else logging.INFO)
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=True)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)


class Progress:
    """Frames, frames/s and an estimate of the time left, from the pipeline's tallies."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._tally: Tally | None = None
        self._began = self._printed = time.monotonic()
        self._first = 0
        self._task: TaskID | None = None
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
        """Called after each frame."""
        if tally is not self._tally:
            self._tally, self._began, self._first = tally, time.monotonic(), tally.frames
            if self._bar is not None:
                if self._task is not None:
                    self._bar.remove_task(self._task)  # a folder of pictures would flood it
                self._task = self._bar.add_task(tally.source, total=tally.expected, rate="")
        seconds = time.monotonic() - self._began  # since the first frame
        rate = (tally.frames - self._first) / seconds if seconds > 0 else 0.0
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=tally.frames, rate=f"{rate:.1f} frames/s")
        elif not self._quiet and time.monotonic() - self._printed >= _LINE_EVERY_S:
            self._printed = time.monotonic()
            console.print(_line(tally, rate), soft_wrap=True)


def print_report(report: Report, quiet: bool) -> None:
    """The report on stderr; with ``quiet`` only what went wrong."""
    for tally in report.sources:
        if tally.error is not None:
            _say(f"posert: {tally.error}")
        if tally.skipped:
            _say(f"posert: {tally.source}: {tally.skipped} damaged frames skipped")
    if report.failure is not None:
        _say(f"posert: {report.failure}")
    if quiet:
        return
    _say(_summary(report))
    if report.stages:
        console.print(_stage_table(report))
    for line in _written(report):
        _say(line)


def _say(text: str) -> None:
    """One plain line: no markup, no wrapping, so that it can be searched and piped."""
    print(text, file=sys.stderr)


def _written(report: Report) -> list[str]:
    """A line for each file that is there, or one for the many of a folder."""
    own = [Path(output) for tally in report.sources if tally.frames for output in tally.outputs]
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
    facts = [
        f"{report.frames} frames",
        f"{report.people} people ({report.people / max(1, report.frames):.1f} a frame)",
        f"{report.frames_per_second:.1f} frames/s",
        f"{report.seconds:.1f} s",
        report.engine,
    ]
    counted = {
        "dropped": sum(t.dropped for t in report.sources),
        "keypoints over the cap": sum(t.capped.peaks for t in report.sources),
        "people over the cap": sum(t.capped.people for t in report.sources),
    }
    facts += [f"{count} {what}" for what, count in counted.items() if count]
    return ("stopped: " if report.stopped else "done: ") + ", ".join(facts)


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


def _line(tally: Tally, rate: float) -> str:
    if tally.expected is None:
        return f"{tally.source}: {tally.frames} frames, {rate:.1f} frames/s"
    done = f"{tally.source}: {tally.frames} of {tally.expected} frames"
    if not rate:
        return done
    left = (tally.expected - tally.frames) / rate
    return f"{done}, {rate:.1f} frames/s, {left:.0f} s left"
