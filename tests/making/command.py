"""The ``posert`` command, inside this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from posert.cli import main

COMMAND = (sys.executable, "-m", "posert")
PATIENCE_S = 120  # only a hang takes so long


@dataclass(frozen=True)
class Outcome:
    """How the command ended and what it printed."""

    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """The line ``posert: ...`` it ended with; that there is no traceback is checked."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("posert: ")]
        assert len(lines) == 1, self.err
        return lines[0]


class Command:
    """Runs ``posert`` in this process: quick, as everything is imported already."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Outcome:
        self._capture.readouterr()
        before, sys.argv = sys.argv, ["posert", *map(str, arguments)]
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            sys.argv = before
        out, err = self._capture.readouterr()
        return Outcome(int(ended.value.code or 0), out, err)


def start(*arguments: str | Path, before: str = "") -> subprocess.Popen[str]:
    """``posert`` in a process of its own, after the Python statements ``before``."""
    code = f"{before}\nfrom posert.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> Outcome:
    """Waits for the end of what ``start`` began."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Outcome(process.returncode, out, err)
