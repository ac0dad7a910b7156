"""``posert build-engine``: what is built and printed; and ``run`` of what it made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from making.clips import clip
from making.command import Command
from making.networks import dots_network, read_lines
from making.pictures import nose_of_frame, picture

HEAVY = ("numpy", "cv2", "onnxruntime", "onnx", "av", "scipy", "yaml", "tensorrt_rtx")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the dots network, known by its name ``made``."""
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path / "models"))
    return dots_network(tmp_path / "models" / "made")


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A picture of one person."""
    cv2.imwrite(str(tmp_path / "still.png"), picture())
    return tmp_path / "still.png"


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys\nfrom posert.cli import main\n"
        "try:\n    main()\n"
        f"except SystemExit as e:\n    print([m for m in {HEAVY} if m in sys.modules], e.code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "build-engine", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.splitlines()[-1] == "[] 0"


def test_an_engine_is_told_with_all_that_matters(posert: Command, dots: Path, cache: Path) -> None:
    outcome = posert("build-engine", dots, "--form", "compact", "--batch", "1,2,8")
    assert outcome.code == 0
    path, what, shapes, where, gate = outcome.out.splitlines()
    assert Path(path).is_relative_to(cache)
    assert what.startswith("  made, onnxruntime ")
    assert what.endswith(", fp32, compact form")
    assert shapes.startswith("  input 4..64 x 4..64, batches 1/2/8, ")
    assert ", built in " in where
    assert gate == ("  against fp32 on 16 pictures: peaks agree 100.0%, keypoints of people 100.0%")
    assert "building made for onnxruntime, fp32, compact form, once" in outcome.err


def test_a_second_call_tells_the_same_engine_and_builds_none(posert: Command, dots: Path) -> None:
    first = posert("build-engine", dots, "--form", "compact")
    second = posert("build-engine", dots, "--form", "compact")
    assert (second.code, second.out, second.err) == (0, first.out, "")


def test_most_peaks_of_a_type_are_a_setting_of_the_compact_form(
    posert: Command, dots: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "pose.engine"
    outcome = posert("build-engine", dots, "--form", "compact", "--max-peaks", "5", "-o", copy)
    assert outcome.code == 0
    assert json.loads(Path(f"{copy}.json").read_text())["parser"]["max_peaks"] == 5


def test_where_there_is_nothing_to_build_that_is_said(posert: Command, dots: Path) -> None:
    outcome = posert("build-engine", dots, "--backend", "onnxruntime")
    assert outcome.code == 0
    assert outcome.out == (
        f"{dots / 'net.onnx'}: onnxruntime runs this ONNX as it is: there is nothing to build\n"
    )


def test_int8_is_built_with_a_clip_and_run(
    posert: Command, dots: Path, walk: Path, still: Path, tmp_path: Path
) -> None:
    outcome = posert("build-engine", dots, "--precision", "int8", "--calibration", walk)
    assert outcome.code == 0
    assert "calibrating with 12 pictures" in outcome.err
    assert "against fp32 on 12 pictures: " in outcome.out
    outcome = posert(
        "run", still, "--model", dots, "--precision", "int8", "--jsonl", tmp_path / "o.jsonl"
    )
    assert outcome.code == 0
    assert "building" not in outcome.err
    assert "onnxruntime (CPU, int8, maps form)" in outcome.err
    (line,) = read_lines(tmp_path / "o.jsonl")
    assert len(line["people"]) == 1


def test_a_run_says_that_it_builds_and_does_so_once(
    posert: Command, dots: Path, still: Path, tmp_path: Path
) -> None:
    run = ("run", still, "--model", dots, "--form", "compact", "--jsonl", tmp_path / "o.jsonl")
    first = posert(*run)
    assert first.code == 0
    assert "building made for onnxruntime, fp32, compact form, once" in first.err
    assert "onnxruntime (CPU, fp32, compact form)" in first.err
    second = posert(*run)
    assert second.code == 0
    assert "building" not in second.err


def test_a_run_without_a_cache_goes_on_with_one_line(
    posert: Command, dots: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSERT_CACHE", str(still))
    outcome = posert(
        "run", still, "--model", dots, "--form", "compact", "--jsonl", tmp_path / "o.jsonl"
    )
    assert outcome.code == 0
    assert outcome.err.count("the engine is not kept") == 1
    refused = posert("build-engine", dots, "--form", "compact")
    assert refused.code == 5
    assert f"engine cache {still}: cannot be written" in refused.refusal()


def test_a_copy_for_elsewhere_is_run(
    posert: Command, made: Path, still: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "out" / "pose.engine"
    outcome = posert("build-engine", made, "--form", "compact", "--size", "64x96", "-o", copy)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{copy}\n")
    assert "  input 64 x 96, " in outcome.out
    assert json.loads(Path(f"{copy}.json").read_text())["form"] == "compact"
    run = ("run", still, "--model", copy, "--jsonl", tmp_path / "o.jsonl")
    assert posert(*run).code == 0
    assert len(read_lines(tmp_path / "o.jsonl")[0]["people"]) == 1
    refused = posert(*run, "--input-size", "64")
    assert refused.code == 6
    assert "input size: got 64, expected 64x96; --input-size 64x96" in refused.refusal()


def test_an_engine_for_another_gpu_is_not_run_here(
    posert: Command, made: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr("posert.manifest.first_gpu", lambda: None)
    copy = tmp_path / "pose.engine"
    outcome = posert("build-engine", made, "--target", "12.0, 8.9", "-o", copy)
    assert outcome.code == 0
    assert "  for 8.9, 12.0, built in " in outcome.out
    refused = posert("run", still, "--model", copy, "--jsonl", tmp_path / "o.jsonl")
    assert refused.code == 9
    assert "pose.engine needs an NVIDIA GPU, here is none; run: posert build-engine made" in (
        refused.refusal()
    )


def test_an_ending_is_refused_before_anything_is_built(
    posert: Command, dots: Path, cache: Path
) -> None:
    outcome = posert("build-engine", dots, "--form", "compact", "-o", "pose.trt")
    assert outcome.code == 6
    assert "--output: got pose.trt, expected a name that ends in .engine" in outcome.refusal()
    assert not cache.exists()


def test_a_harmed_engine_is_built_again_with_one_line(
    posert: Command, dots: Path, cache: Path
) -> None:
    first = posert("build-engine", dots, "--form", "compact")
    engine = Path(first.out.splitlines()[0])
    engine.write_bytes(b"")
    again = posert("build-engine", dots, "--form", "compact")
    assert again.code == 0
    assert "is damaged or another file" in "".join(again.err.split("\n"))
    assert "building it again" in " ".join(again.err.split())
    assert engine.stat().st_size > 0


def test_the_clip_it_is_calibrated_with_may_be_long(
    posert: Command, dots: Path, tmp_path: Path
) -> None:
    images = [picture(noses=[nose_of_frame(i)]) for i in range(300)]
    long = clip(tmp_path / "long.mp4", images)
    outcome = posert("build-engine", dots, "--precision", "int8", "--calibration", long)
    assert outcome.code == 0
    assert "calibrating with 128 pictures" in outcome.err
    assert "against fp32 on 16 pictures" in outcome.out
