"""What a run prints: one bar however many inputs, and what was written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from posert.cli import progress
from posert.cli.progress import Progress, print_report
from posert.report import Report
from posert.runtime.stream import Tally


def report(tallies: list[Tally], outputs: tuple[Path, ...] = ()) -> Report:
    return Report(tuple(tallies), 1.0, (), "engine", False, outputs)


def written(folder: Path, count: int) -> list[Tally]:
    """One picture a source, all in ``folder``."""
    folder.mkdir()
    tallies = []
    for i in range(count):
        (folder / f"{i}.png").write_bytes(b"")
        tallies.append(Tally(f"{i}.png", frames=1, outputs=[folder / f"{i}.png"]))
    return tallies


def test_sixty_inputs_have_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "console", terminal)
    with Progress(quiet=False) as bar:
        for i in range(60):
            tally = Tally(f"{i}.png", expected=1, frames=1)
            bar.update(tally)
            tally.done = True
    assert "59.png" in screen.getvalue()
    assert screen.getvalue().count("\n") < 5


def test_many_files_of_a_folder_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.jsonl").write_text("")
    print_report(report(written(tmp_path / "out", 60), (tmp_path / "o.jsonl",)), quiet=False)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wrote")]
    assert lines == [f"wrote 60 files in {tmp_path / 'out'}", f"wrote {tmp_path / 'o.jsonl'}"]


def test_five_files_of_a_folder_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report(written(tmp_path / "out", 5)), quiet=False)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wrote")]
    assert lines == [f"wrote {tmp_path / 'out' / f'{i}.png'}" for i in range(5)]


def test_a_file_that_was_never_opened_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report([Tally("a", frames=1)], (tmp_path / "o.csv", Path("-"))), quiet=False)
    assert "wrote" not in capsys.readouterr().err
