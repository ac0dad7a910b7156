"""``posert bench`` measures every stage and whole runs; no speed is asserted here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from making.command import Command

QUICK = ("--frames", "10", "--rounds", "1", "--batches", "1,2", "--input-size", "96")
ALWAYS = ["decode", "engine", "parse", "track", "smooth"]


def measured(posert: Command, clip: Path, file: Path, *more: str) -> tuple[dict[str, Any], str]:
    outcome = posert("bench", clip, *QUICK, "--json", file, *more)
    assert outcome.code == 0, outcome.err
    result: dict[str, Any] = json.loads(file.read_text())
    return result, outcome.out


def cpu_s(result: dict[str, Any], *stages: str) -> float:
    """CPU seconds a frame of stages, the engine one by one as on CPUs."""
    first = {stage["stage"]: stage for stage in reversed(result["stages"])}
    return sum(float(first[stage]["cpu_ms"]) for stage in stages) / 1e3


def test_bench_tells_of_stages_the_ideal_and_what_a_run_reaches(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    result, out = measured(posert, walk, tmp_path / "bench.json")
    names = [(stage["stage"], stage["batch"]) for stage in result["stages"]]
    assert [name for name, _ in names if name != "engine"] == [
        "decode", "parse", "track", "smooth", "data", "draw", "encode"
    ]  # fmt: skip
    assert [batch for name, batch in names if name == "engine"] == [1, 2]
    for stage in result["stages"]:
        assert stage["ms"]["p99"] >= stage["ms"]["p95"] >= stage["ms"]["p50"] > 0, stage
        assert stage["frames_per_second"] > 0
    (run,) = result["runs"]
    used = cpu_s(result, *ALWAYS, "draw", "encode")
    assert run["ideal_fps"] == pytest.approx(result["cores"] / used, rel=2e-3)
    assert run["ratio"] == pytest.approx(run["frames_per_second"] / run["ideal_fps"], rel=2e-3)
    assert run["frames"] == 10
    assert run["cpu_ms"] > 0
    assert 0 < run["cores_used"] <= result["cores"] * 1.5
    assert run["peak_memory_mb"] > 50
    for word in ("decode", "ideal", "ratio", "p50", "p95", "p99", "files, 1 stream"):
        assert word in out


def test_several_streams_are_so_many_videos(walk: Path, posert: Command, tmp_path: Path) -> None:
    result, out = measured(posert, walk, tmp_path / "bench.json", "--streams", "1,3")
    assert [(run["streams"], run["frames"]) for run in result["runs"]] == [(1, 10), (3, 30)]
    assert "files: frames/s grow with the streams to" in out


def test_data_only_draws_nothing(walk: Path, posert: Command, tmp_path: Path) -> None:
    result, _ = measured(posert, walk, tmp_path / "bench.json", "--data-only", "--no-smooth")
    stages = {stage["stage"] for stage in result["stages"]}
    assert stages == {"decode", "engine", "parse", "track", "data"}
    (run,) = result["runs"]
    used = cpu_s(result, "decode", "engine", "parse", "track", "data")
    assert run["ideal_fps"] == pytest.approx(result["cores"] / used, rel=2e-3)


def test_frames_decoded_ahead_cost_no_decoding(walk: Path, posert: Command, tmp_path: Path) -> None:
    result, _ = measured(
        posert, walk, tmp_path / "bench.json", "--predecoded", "--data-only", "--streams", "2"
    )
    (run,) = result["runs"]
    assert (run["kind"], run["streams"], run["frames"]) == ("predecoded", 2, 20)
    used = cpu_s(result, "engine", "parse", "track", "smooth", "data")
    assert run["ideal_fps"] == pytest.approx(result["cores"] / used, rel=2e-3)
    assert run["latency"]["p99"] >= run["latency"]["p50"] > 0


def test_live_sources_are_paced_and_what_they_lose_is_counted(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    result, out = measured(
        posert, walk, tmp_path / "bench.json", "--live", "--data-only", "--rate", "20",
        "--streams", "2",
    )  # fmt: skip
    (run,) = result["runs"]
    assert run["kind"] == "live"
    assert run["offered_fps"] == 40
    assert run["frames"] + run["dropped"] == 20
    assert run["frames_per_second"] == pytest.approx(2 * run["frames"])
    assert "40 frames/s offered" in out


def test_without_a_count_cameras_are_doubled_until_two_counts_are_too_many(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    result, _ = measured(
        posert, walk, tmp_path / "b.json", "--live", "--data-only", "--rate", "900"
    )
    full = [run["frames_per_second"] < 0.9 * run["offered_fps"] for run in result["runs"]]
    assert [run["streams"] for run in result["runs"]] == [2**n for n in range(len(full))]
    assert sum(full) == 2
    assert full[-1]


def test_a_result_names_no_machine_and_no_folder(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    import socket

    result, _ = measured(posert, walk, tmp_path / "bench.json")
    text = json.dumps(result)
    assert socket.gethostname() not in text
    assert str(walk.parent) not in text
    assert str(Path.home()) not in text
    assert result["clip"] == "walk.mp4"
    assert result["environment"]["libraries"]["numpy"]
    assert result["environment"]["cores"] == result["cores"]


def test_bench_of_no_video_is_an_input_error(posert: Command, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    outcome = posert("bench", tmp_path / "text.mp4")
    assert outcome.code == 3
    assert "is not a video" in outcome.refusal()


@pytest.mark.parametrize("what", [("--streams", "0"), ("--batches", "1,x"), ("--rate", "0")])
def test_what_cannot_be_measured_is_refused(
    walk: Path, posert: Command, what: tuple[str, str]
) -> None:
    outcome = posert("bench", walk, *what)
    assert outcome.code == 6
    assert "expected" in outcome.refusal()
    assert "(" not in outcome.refusal()


def test_processes_that_would_do_nothing_are_told(
    walk: Path, posert: Command, tmp_path: Path
) -> None:
    outcome = posert(
        "bench", walk, *QUICK, "--live", "--data-only", "--streams", "1", "--processes", "2"
    )
    assert outcome.code == 0
    assert "processes has no effect" in outcome.err
