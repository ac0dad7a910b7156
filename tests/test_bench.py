"""``posert bench`` measures every stage and a whole run; no speed is asserted here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from making.command import Command


def test_bench_prints_stages_ideal_and_ratio(walk: Path, posert: Command, tmp_path: Path) -> None:
    outcome = posert(
        "bench", walk, "--frames", "10", "--rounds", "1", "--input-size", "96",
        "--json", tmp_path / "bench.json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    result = json.loads((tmp_path / "bench.json").read_text())
    stages = {stage["stage"]: stage for stage in result["stages"]}
    assert set(stages) == {"decode", "engine", "parse", "draw", "encode"}
    assert all(s["cpu_ms"] > 0 and s["p95_ms"] >= s["p50_ms"] > 0 for s in stages.values())
    cpu_s = sum(stage["cpu_ms"] for stage in stages.values()) / 1e3
    assert result["ideal_fps"] == pytest.approx(result["cores"] / cpu_s)
    assert result["ratio"] == pytest.approx(result["achieved_fps"] / result["ideal_fps"])
    for word in ("decode", "ideal", "achieved", "ratio", "p50", "p95"):
        assert word in outcome.out


def test_bench_of_no_video_is_an_input_error(posert: Command, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    outcome = posert("bench", tmp_path / "text.mp4")
    assert outcome.code == 3
    assert "is not a video" in outcome.refusal()
