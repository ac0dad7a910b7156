"""Results of ``posert bench``: read, compared, drawn, told of in the README."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from making.command import Command

from posert.bench.compare import compare
from posert.bench.environment import environment
from posert.bench.places import check_places
from posert.bench.results import Bench, Kind, RunCost, Spread, StageCost, median_of, read_bench
from posert.bench.scaling import scaling
from posert.cli.bench_tables import print_bench, print_comparison
from posert.errors import InputError

ROOT = Path(__file__).parents[1]


def stage(name: str, cpu_ms: float, batch: int = 1) -> StageCost:
    return StageCost(name, batch, 1, cpu_ms, Spread(cpu_ms, cpu_ms * 2, cpu_ms * 3), 1e3 / cpu_ms)


def run(streams: int, fps: float, ideal: float = 50.0, **more: Any) -> RunCost:
    cost = RunCost(
        kind="files", streams=streams, frames=300, frames_per_second=fps, steady_fps=fps,
        ideal_fps=ideal, ratio=fps / ideal, offered_fps=None, dropped=0,
        interval=Spread(20.0, 30.0, 40.0), latency=Spread(60.0, 70.0, 80.0),
        cpu_ms=41.0, cores_used=1.9, engine_busy=0.8, peak_memory_mb=400.0, gpus=(),
    )  # fmt: skip
    return replace(cost, **more)


@pytest.fixture
def result() -> Bench:
    return Bench(
        clip="walk.mp4", size=(96, 64), frames=300, rounds=3, model="dots", engine="none",
        input_size=96, cores=2, processes=None, at_once=None, environment=environment(),
        stages=(stage("decode", 10.0), stage("engine", 25.0), stage("engine", 20.0, 16)),
        runs=(run(1, 45.0), run(4, 46.0)),
    )  # fmt: skip


def written(result: Bench, path: Path) -> Path:
    path.write_text(json.dumps(result.as_json()))
    return path


def test_what_is_written_is_read_again(result: Bench, tmp_path: Path) -> None:
    assert read_bench(written(result, tmp_path / "bench.json")) == result


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": None}, "is no result"),
        ({"schema": 1}, "schema: got 1, expected 2"),
        ({"stages": [{"stage": "decode"}]}, "is missing"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(
    result: Bench, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({**result.as_json(), **change}))
    with pytest.raises(InputError, match=says):
        read_bench(path)


def test_medians_are_of_each_number(result: Bench) -> None:
    three = [run(1, fps, latency=Spread(ms, ms, ms)) for fps, ms in ((3, 9.0), (1, 7.0), (2, 8.0))]
    median = median_of(three)
    assert (median.frames_per_second, median.latency) == (2.0, Spread(8.0, 8.0, 8.0))
    assert (median.kind, median.streams, median.offered_fps) == ("files", 1, None)


def test_compare_tells_ratios_and_which_way_is_better(result: Bench) -> None:
    faster = replace(
        result,
        stages=(stage("decode", 5.0), stage("engine", 25.0), stage("engine", 40.0, 16)),
        runs=(run(1, 36.0), run(8, 46.0)),
    )
    comparison = compare(result, faster)
    found = {figure.name: (figure.ratio, figure.verdict) for figure in comparison.figures}
    assert found["decode: CPU ms"] == (0.5, "better")
    assert found["engine: CPU ms"] == (1.0, "")
    assert found["engine, batch 16: frames/s"] == (0.5, "worse")
    assert found["files, 1 stream: frames/s"][1] == "worse"
    assert "files, 4 streams: frames/s" in comparison.lacking
    assert "files, 8 streams: frames/s" in comparison.lacking
    assert comparison.differences == ()


def test_the_command_warns_where_the_machines_differ(
    result: Bench, tmp_path: Path, posert: Command
) -> None:
    elsewhere = replace(environment(), cpu="Z80", libraries={"numpy": "1.24.0"})
    old = written(result, tmp_path / "old.json")
    new = written(replace(result, environment=elsewhere), tmp_path / "new.json")
    outcome = posert("bench", "--compare", old, new)
    assert outcome.code == 0
    assert "cpu" in outcome.err
    assert "then Z80" in outcome.err
    assert "then 1.24.0" in outcome.err
    assert "1.000" in outcome.out
    outcome = posert("bench", "--compare", old, old)
    assert outcome.err == ""


def test_the_command_compares_only_results(result: Bench, tmp_path: Path, posert: Command) -> None:
    (tmp_path / "new.json").write_text("{}")
    old = written(result, tmp_path / "old.json")
    outcome = posert("bench", "--compare", old, tmp_path / "new.json")
    assert outcome.code == 3
    assert "is no result" in outcome.refusal()


def test_growth_and_level_over_streams_are_told() -> None:
    (line,) = scaling([run(1, 30.0), run(2, 58.0), run(4, 80.0), run(8, 82.0)])
    assert line == "files: frames/s grow with the streams to 2, then 80 to 82 frames/s (flat) to 8"
    (line,) = scaling([run(1, 30.0), run(2, 40.0), run(4, 20.0)])
    assert line.endswith("(not flat) to 4")
    (line,) = scaling([run(1, 30.0), run(2, 40.0), run(4, 119.0), run(8, 118.0)])
    assert line.startswith("files: frames/s grow with the streams to 1, then 40 to 119 frames/s")
    (line,) = scaling([run(1, 30.0), run(2, 59.0), run(4, 156.0)])
    assert line == (
        "files: frames/s grow with the streams to 2, then 156 frames/s at 4, still growing, "
        "1.30 times the line at 4"
    )
    (line,) = scaling([run(1, 23.0), run(2, 34.1)])
    assert line == (
        "files: frames/s grow with the streams to 1, then 34 frames/s at 2, still growing"
    )
    (line,) = scaling([run(1, 30.0), run(2, 31.0)])
    assert line == "files: frames/s grow with the streams to 1, then 31 frames/s at 2"
    (line,) = scaling([run(1, 30.0), run(2, 59.0)])
    assert line == "files: frames/s grow with the streams to 2, the most tried"
    assert list(scaling([run(1, 30.0)])) == []


def test_at_80_columns_every_head_and_figure_can_be_read(
    result: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = tuple(run(n, 7612.3, 9876.5, kind="predecoded") for n in (1, 1024))
    stages = (stage("engine", 25.0, 16), stage("parse", 2.0))
    print_bench(replace(result, rounds=1, runs=runs, stages=stages))
    out = capsys.readouterr().out
    assert "\u2026" not in out  # what rich leaves out
    assert max(map(len, out.splitlines())) <= 80
    heads = [line.split() for line in out.splitlines() if not re.search("[0-9]{2}[.]", line)]
    assert ["whole", "run", "frames/s", "steady", "ideal", "ratio", "at", "30/s"] in heads
    assert ["what", "it", "took", "CPU", "ms", "cores", "engine", "MB"] in heads
    assert out.count("predecoded, 1024 streams ") == 2
    assert "2 cores: 1 round\n" in out
    print_comparison(compare(result, result), "a-rather-long-name-1.json", "another-long-2.json")
    out = capsys.readouterr().out
    assert "\u2026" not in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("kinds", "says"),
    [(["files"], "(and share of the ideal)"), (["files", "live"], "or of what is offered")],
)
def test_a_plot_says_what_its_shares_are_of(result: Bench, kinds: list[Kind], says: str) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from posert.bench.plot import draw_speed

    offered: dict[Kind, float | None] = {"files": None, "live": 30.0}
    runs = [run(1, 20.0, kind=kind, offered_fps=offered[kind]) for kind in kinds]
    axes = Figure().subplots()
    draw_speed(axes, replace(result, runs=tuple(runs)))
    assert says in axes.get_title()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--json", "."], 5, ".: is a folder: expected a file"),
        (["--json", "file/b.json"], 5, "file/b.json: cannot be written"),
        (["--plot", "/dev/full/b.png"], 5, "/dev/full/b.png: cannot be written"),
        (["--plot", "b.jpg"], 6, "--plot b.jpg: got .jpg, expected .png"),
        (["--json", "b.png", "--plot", "b.png"], 6, "--json and --plot: got one file"),
    ],
)
def test_places_of_results_are_looked_at_before_anything_is_measured(
    walk: Path, tmp_path: Path, posert: Command, monkeypatch: pytest.MonkeyPatch,
    options: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("posert.bench.plot.find_spec", lambda name: name)
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    outcome = posert("bench", walk, *options)
    assert outcome.code == code
    assert says in outcome.refusal()
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_look_at_a_place_leaves_what_is_there(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    check_places(old, None)
    check_places(tmp_path / "folder" / "new.json", None)
    assert old.read_text() == "{}"
    assert [path.name for path in tmp_path.rglob("*.json")] == ["old.json"]


def test_a_plot_is_a_picture(result: Bench, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from posert.bench.plot import draw_bench

    draw_bench(result, tmp_path / "bench.png")
    data = (tmp_path / "bench.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data[:4] == b"\x89PNG"
    assert (width, height) == (1600, 560)


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(
    walk: Path, tmp_path: Path, posert: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.bench.plot.find_spec", lambda name: None)
    outcome = posert("bench", walk, "--plot", tmp_path / "bench.png")
    assert outcome.code == 6
    assert 'pip install "posert[plot]"' in outcome.refusal()
    assert outcome.out == ""


def readme_bench() -> Any:
    spec = importlib.util.spec_from_file_location("readme_bench", ROOT / "scripts/readme_bench.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_tells_what_was_measured() -> None:
    script = readme_bench()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.updated(text, script.results(), script.gpu_results()) == text


def test_the_table_is_made_of_results_of_bench_alone(result: Bench, tmp_path: Path) -> None:
    script = readme_bench()
    written(result, tmp_path / "ours.json")
    (tmp_path / "other.json").write_text('{"frames_a_second": 3000}')
    text = script.updated("a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n", script.results(tmp_path))
    lines = text.splitlines()
    assert lines[0] == "a"
    assert lines[-1] == "b"
    assert "old" not in lines
    assert [line for line in lines if "walk.mp4, 96x64" in line] == lines[4:6]
    assert "| files, 1 stream, data | 50.0 | 45.0 | 0.90 | 1.5 | 80% |" in lines[4]
    with pytest.raises(ValueError, match="got 0 places"):
        script.updated("no marks", {})
