"""Signals, kills and full disks: whatever was processed is kept."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from making.clips import clip, read, times
from making.command import Outcome, ended, start
from making.networks import read_lines

# The run stops itself at a frame: no timing decides what a test sees.
AT_FRAME = """
import os, posert.running as running
process = running.process
def watched(jobs, span, stages, stop, on_frame):
    def seen(tally):
        on_frame(tally)
        if tally.frames == {frame}:
            os.kill(os.getpid(), {signal})
    process(jobs, span, stages, stop, seen)
running.process = watched
"""
LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s with sound: the run is far from its end when it is stopped."""
    return clip(tmp_path_factory.mktemp("long") / "long.mp4", 300, sound="aac")


def outputs(folder: Path) -> list[str | Path]:
    t = folder
    return [
        "-o", t / "o.mp4", "--jsonl", t / "o.jsonl", "--csv", t / "o.csv", "--coco", t / "o.json",
        "--contact-sheet", t / "sheet.png",
    ]  # fmt: skip


def stopped(
    source: Path, dots: Path, options: Sequence[str | Path], frame: int, by: int
) -> Outcome:
    before = AT_FRAME.format(frame=frame, signal=by)
    return ended(start("run", source, "--model", dots, *options, before=before))


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_completes_all_files(
    tmp_path: Path, long: Path, dots: Path, by: signal.Signals, code: int
) -> None:
    outcome = stopped(long, dots, outputs(tmp_path), 40, by)
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    frames = len(read(tmp_path / "o.mp4"))
    assert 40 <= frames < 100
    assert f"stopped: {frames} frames" in outcome.err
    assert len(read_lines(tmp_path / "o.jsonl")) == frames
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1 + frames
    assert len(json.loads((tmp_path / "o.json").read_text())) == frames
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_a_signal_that_comes_twice_at_once_is_one(tmp_path: Path, long: Path, dots: Path) -> None:
    """timeout(1) sends it to the process and to its group."""
    once = AT_FRAME.format(frame=40, signal=int(signal.SIGINT))
    call = "os.kill(os.getpid(), 2)"
    options = outputs(tmp_path)
    before = once.replace(call, f"{call}; {call}")
    outcome = ended(start("run", long, "--model", dots, *options, before=before))
    assert outcome.code == 130, outcome.err
    assert 40 <= len(read(tmp_path / "o.mp4")) == len(read_lines(tmp_path / "o.jsonl"))


def test_a_signal_leaves_later_inputs_out(tmp_path: Path, long: Path, dots: Path) -> None:
    options: list[str | Path] = [long, "-o", tmp_path / "out"]
    outcome = stopped(long, dots, options, 20, signal.SIGINT)
    assert outcome.code == 130
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["long.mp4"]


def test_a_kill_leaves_what_was_done_playable(tmp_path: Path, long: Path, dots: Path) -> None:
    outcome = stopped(long, dots, outputs(tmp_path), 150, signal.SIGKILL)
    assert outcome.code == -signal.SIGKILL
    frames = len(read(tmp_path / "o.mp4"))
    assert 150 - 13 <= frames <= 150 + 1  # a fragment is a quarter of a second
    assert times(tmp_path / "o.mp4") == times(long)[:frames]
    assert (
        150 <= len(read_lines(tmp_path / "o.jsonl")) <= 150 + 16
    )  # data do not wait for the video


def test_a_kill_leaves_a_matroska_file_playable(tmp_path: Path, long: Path, dots: Path) -> None:
    outcome = stopped(long, dots, ["-o", tmp_path / "o.mkv"], 150, signal.SIGKILL)
    assert outcome.code == -signal.SIGKILL
    assert len(read(tmp_path / "o.mkv")) >= 150 - 13


def test_a_full_disk_keeps_what_fitted_and_says_so(tmp_path: Path, long: Path, dots: Path) -> None:
    before = LIMITED.format(limit=60_000)
    run = start("run", long, "--model", dots, "-o", tmp_path / "o.mp4", before=before)
    outcome = ended(run)
    assert outcome.code == 5, outcome.err
    assert f"{tmp_path / 'o.mp4'}: cannot be written: got File too large" in outcome.refusal()
    assert "free some space" in outcome.refusal()
    assert 20 <= len(read(tmp_path / "o.mp4")) < 300


def test_a_full_disk_keeps_the_lines_that_fitted(tmp_path: Path, long: Path, dots: Path) -> None:
    before = LIMITED.format(limit=20_000)
    outcome = ended(
        start("run", long, "--model", dots, "--jsonl", tmp_path / "o.jsonl", before=before)
    )
    assert outcome.code == 5
    assert "File too large" in outcome.refusal()
    whole = (tmp_path / "o.jsonl").read_text().rpartition("\n")[0].splitlines()
    assert [json.loads(line)["frame"] for line in whole] == list(range(len(whole)))
    assert len(whole) > 10


@pytest.mark.parametrize("form", ["--jsonl", "--csv", "--coco"])
def test_a_full_device_is_one_line(walk: Path, dots: Path, form: str) -> None:
    outcome = ended(start("run", walk, "--model", dots, form, "/dev/full"))
    assert outcome.code == 5
    assert "/dev/full: cannot be written: got No space left on device" in outcome.refusal()


def test_a_reader_that_goes_away_is_no_traceback(walk: Path, dots: Path) -> None:
    with start("run", walk, walk, walk, "--model", dots, "--jsonl", "-") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        err = run.stderr.read()
    assert run.returncode != 0
    assert "Traceback" not in err
    assert "Exception ignored" not in err
