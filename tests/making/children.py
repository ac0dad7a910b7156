"""Processes that this one has started; any may end at any time."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def children(module: str) -> list[int]:
    """The ids of those whose command names ``module``."""
    listed = [_text(path).split() for path in Path("/proc/self/task").glob("*/children")]
    found = [int(pid) for each in listed for pid in each]
    return [pid for pid in found if module in _text(Path(f"/proc/{pid}/cmdline"))]


def kill(pid: int) -> None:
    """At once, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
