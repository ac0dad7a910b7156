"""SIGKILL at a random moment: every file plays, and all but the last second is in it.

``bench/kill_runs.py`` does the same fifty times over.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from making.clips import clip, times
from making.command import ended, start
from making.networks import read_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill_runs", ROOT / "bench" / "kill_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_runs"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 s with sound: at 50 frames/s the run is far from its end when it is killed."""
    return clip(tmp_path_factory.mktemp("kills") / "in.mp4", 400, sound="aac")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["o.mp4"], ["o.mkv"], ["o.mov"], ["o.mp4", "--segment", "0.8"], ["o.mkv", "--every", "9"]],
    ids=" ".join,
)
def test_a_kill_takes_less_than_a_second(
    kills: ModuleType, source: Path, tmp_path: Path, dots: Path, options: list[str]
) -> None:
    name, *others = options
    after_s = random.SystemRandom().uniform(0, 0.8 if "--every" in others else 4)
    arguments = ["-o", str(tmp_path / name), "--model", str(dots), *others]
    killed = kills.run_and_kill(source, tmp_path, arguments, after_s)
    assert killed is not None, "it ended before the kill"
    assert killed.plays, killed
    assert killed.missing_s < 1, killed
    assert killed.data_lines >= killed.written - 1, killed


AT_FRAME_60 = """
import os, signal
from posert.runtime.sinks.segments import Segments
write = Segments.write
def counted(self, image, frame):
    write(self, image, frame)
    if frame.index == 60:
        os.kill(os.getpid(), signal.SIGTERM)
Segments.write = counted
"""


def test_sigterm_completes_all_segments(source: Path, tmp_path: Path, dots: Path) -> None:
    arguments: list[str | Path] = ["--model", dots, "-o", tmp_path / "o.mp4", "--segment", "1"]
    arguments += ["--jsonl", tmp_path / "o.jsonl"]
    outcome = ended(start("run", source, *arguments, before=AT_FRAME_60))
    assert outcome.code == 143, outcome.err
    counts = [len(times(path)) for path in sorted(tmp_path.glob("o-*.mp4"))]
    assert len(read_lines(tmp_path / "o.jsonl")) == sum(counts) > 60
    assert counts[:-1] == [25] * (len(counts) - 1)
