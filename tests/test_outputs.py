"""Where results go: planned before anything runs, never two into one file, never over an input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making.command import Command

from posert.errors import ConfigError, OutputError
from posert.outputs import plan_outputs
from posert.runtime.cores import usable_cores
from posert.runtime.sources.inputs import expand
from posert.runtime.sources.source import Span
from posert.settings import RunSettings, SourceSettings


def test_repeated_stems_are_numbered_in_a_folder(tmp_path: Path) -> None:
    settings = RunSettings(output=tmp_path)
    names = ["a/clip.mp4", "b/clip.avi", "clip.png", "rtsp://host/live"]
    planned = plan_outputs([*map(SourceSettings, names)], settings)
    assert [p.name for p in planned if p] == ["clip.mp4", "clip-2.mp4", "clip.png", "live.mp4"]


def test_an_output_folder_is_one_whatever_its_name_and_sources_are_called_as_the_user_says() -> (
    None
):
    settings = RunSettings(output_dir=Path("out.d"))
    sources = [SourceSettings("a/clip.mp4"), SourceSettings("rtsp://host/live", name="gate")]
    planned = plan_outputs(sources, settings)
    assert planned == [Path("out.d/clip.mp4"), Path("out.d/gate.mp4")]


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings(output=Path("x.mp4"), jsonl=Path("x.mp4")),
        RunSettings(jsonl=Path("y.j"), csv=Path("./y.j")),
        RunSettings(jsonl=Path("-"), csv=Path("-")),
    ],
)
def test_two_outputs_are_not_one_file(settings: RunSettings) -> None:
    with pytest.raises(ConfigError, match="two outputs are this file"):
        plan_outputs([SourceSettings("clip.avi")], settings)


@pytest.mark.parametrize(
    ("name", "output"), [("clip.avi", "x.png"), ("clip.avi", "x.xyz"), ("photo.png", "x.mp4")]
)
def test_an_ending_that_is_not_written_is_refused_first(name: str, output: str) -> None:
    with pytest.raises(OutputError, match="expected"):
        plan_outputs([SourceSettings(name)], RunSettings(output=Path(output)))


@pytest.mark.parametrize("asked", ["tile", "output"])
def test_an_address_is_not_cut_into_files(asked: str) -> None:
    address = Path("rtsp://me:secret@host/wall")
    settings = RunSettings(segment=60.0, **{asked: address})  # type: ignore[arg-type]
    refusal = r"--segment: got rtsp://.*host/wall, expected a video file; leave out --segment"
    with pytest.raises(ConfigError, match=refusal) as told:
        plan_outputs([SourceSettings("clip.avi")], settings)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("tile", ["wall.mp4", "udp://host:5000"])
def test_a_wall_of_too_many_tiles_is_refused(tile: str) -> None:
    sources = [SourceSettings(f"{i}.jpg") for i in range(257)]
    settings = RunSettings(tile=Path(tile))
    assert plan_outputs(sources[:256], settings) == [None] * 256
    with pytest.raises(ConfigError, match=f"--tile {tile}: got 257 inputs, expected at most 256; "):
        plan_outputs(sources, settings)


def test_an_unmatched_glob_and_an_empty_folder_stop_nobody(
    walk: Path, dots: Path, posert: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    outcome = posert(
        "run", walk, tmp_path / "no*.mp4", tmp_path / "empty", "--model", dots,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 7
    assert "matches no file" in outcome.err
    assert "holds no picture or video" in outcome.err
    assert (tmp_path / "out" / "walk.mp4").stat().st_size > 1000


def test_openpose_files_of_two_inputs_do_not_overwrite_each_other(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    other = tmp_path / "other" / walk.name
    other.parent.mkdir()
    other.write_bytes(walk.read_bytes())
    outcome = posert(
        "run", walk, other, "--input-size", "96", "--openpose-json", tmp_path / "op",
        "--max-frames", "5",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "op").iterdir())) == 10


# root may look at everything, unless it gives up that capability
_WITHOUT_PRIVILEGE = (
    [
        "setpriv",
        "--inh-caps=-dac_override,-dac_read_search",
        "--bounding-set=-dac_override,-dac_read_search",
    ]
    if os.geteuid() == 0
    else []
)


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root sees everything"
)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "{0}/clip.mp4", "--jsonl", "-"], 3),
        (["run", "{0}", "--jsonl", "-"], 3),
        (["run", "x" * 300, "--jsonl", "-"], 3),
        (["run", "{1}", "--model", "{0}/a.onnx", "--jsonl", "-"], 4),
        (["run", "{1}", "-o", "{0}/y.mp4"], 5),
        (["run", "{1}", "--jsonl", "{0}/z.jsonl"], 5),
    ],
)
def test_what_may_not_be_looked_at_is_one_line(
    arguments: list[str], code: int, walk: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    words = [a.format(locked, walk) for a in arguments]
    run = subprocess.run(
        [*_WITHOUT_PRIVILEGE, sys.executable, "-m", "posert", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    locked.chmod(0o700)
    assert "Traceback" not in run.stderr, run.stderr
    assert run.returncode == code, run.stderr
    assert sum(line.startswith("posert: ") for line in run.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_read_stays_as_it_is(tmp_path: Path) -> None:
    assert expand([str(tmp_path), "missing.mp4"]) == [str(tmp_path), "missing.mp4"]


@pytest.mark.parametrize(
    ("text", "most"), [("200000 100000\n", 2), ("50000 100000", 1), ("max 100000", 10_000)]
)
def test_a_containers_quota_limits_the_cores(text: str, most: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))


def test_a_span_tells_how_many_frames_it_will_take(walk: Path) -> None:
    from posert.runtime.sources.video_file import VideoFile

    for span in (Span(), Span(0.2), Span(0.2, 3), Span(0, 2, 4)):
        source = VideoFile(walk)
        assert span.expected(source.info) == sum(1 for _ in source.frames(span)) > 0
        source.close()
    assert Span(9).expected(source.info) == 0
