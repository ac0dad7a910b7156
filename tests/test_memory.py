"""A run's memory does not grow with its length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from making.clips import clip

_PEAK = """
import resource, sys
from posert.running import run
run(sys.argv[1], sys.argv[1] + ".out.mp4", jsonl=sys.argv[1] + ".jsonl",
    contact_sheet=sys.argv[1] + ".png", model=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kib(source: Path, model: Path) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, str(source), str(model)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(run.stdout)


@pytest.mark.slow
def test_many_more_frames_take_no_more_memory(tmp_path: Path, dots: Path) -> None:
    short = clip(tmp_path / "short.mp4", 300)
    long = clip(tmp_path / "long.mp4", 2000)
    # 1,700 more frames of 18 KiB would be 30 MiB if they were kept; allocators vary by some MiB
    assert peak_kib(long, dots) - peak_kib(short, dots) < 16 * 1024


@pytest.mark.slow
def test_people_who_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    """The quick form of ``bench/endless.py``, which takes 100,000 frames."""
    script = Path(__file__).parents[1] / "bench" / "endless.py"
    frames, result = 4000, tmp_path / "memory.json"
    subprocess.run(
        [sys.executable, script, "--frames", str(frames), "--sources", "2", "-o", result],
        capture_output=True, check=True, timeout=200,
    )  # fmt: skip
    told = json.loads(result.read_text())
    assert told["frames"] == frames
    assert told["people"] > 100  # new ones all the time
    # Stage times fill up to 10,000 a stage: 1 MB. A picture kept of each frame would be 65 MB, the
    # people of each with all that they hold 6 MB.
    assert told["resident_mb"][-1] - told["resident_mb"][0] < 5
