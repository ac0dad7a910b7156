"""Parser processes beside an engine: the same people and data, in order, and what a death costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from making.children import children, kill
from making.clips import clip, read
from making.networks import read_lines

import posert
from posert.errors import EngineError, OutputError
from posert.report import Report
from posert.runtime.stream import Tally


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [clip(folder / f"{i}.mp4", count) for i, count in enumerate((60, 20, 40))]


@pytest.fixture(autouse=True)
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's engine is treated as a GPU's: it has one process, and others parse."""
    monkeypatch.setattr("posert.running.device_engine", lambda engine: engine)
    monkeypatch.setattr("posert.running.plan_shares", lambda inputs, settings: [])


def run(clips: list[Path], dots: Path, folder: Path, processes: int, **more: Any) -> Report:
    return posert.run(
        clips, folder / "out", jsonl=folder / "o.jsonl", csv=folder / "o.csv",
        coco=folder / "o.json", openpose_json=folder / "people", model=str(dots),
        form="compact", processes=processes, **more,
    )  # fmt: skip


def parsers() -> list[int]:
    """Process ids of those of this process."""
    return children("posert.workers.parser")


def test_parsers_make_what_one_process_makes(
    tmp_path: Path, clips: list[Path], dots: Path, no_threads_left: None
) -> None:
    one, two = (run(clips, dots, tmp_path / str(n), n) for n in (1, 2))
    assert one.exit_code == two.exit_code == 0
    assert [(t.frames, t.people, t.followed) for t in one.sources] == [
        (t.frames, t.people, t.followed) for t in two.sources
    ]
    lines = [read_lines(tmp_path / str(n) / "o.jsonl") for n in (1, 2)]
    for source in map(str, clips):
        of_source = [[line for line in each if line["source"] == source] for each in lines]
        assert of_source[0] == of_source[1]
    rows = [sorted((tmp_path / str(n) / "o.csv").read_text().splitlines()) for n in (1, 2)]
    assert rows[0] == rows[1]
    entries = [json.loads((tmp_path / str(n) / "o.json").read_text()) for n in (1, 2)]
    assert len(entries[0]) == len(entries[1])
    files = [sorted(p.name for p in (tmp_path / str(n) / "people").iterdir()) for n in (1, 2)]
    assert files[0] == files[1]
    assert [len(read(path)) for t in two.sources for path in t.outputs] == [60, 20, 40]
    assert {"parse", "track", "data"} <= {stage.stage for stage in two.stages}
    assert parsers() == []


def test_a_parser_that_is_killed_costs_its_own_sources(
    tmp_path: Path, clips: list[Path], dots: Path
) -> None:
    killed: list[int] = []

    def on_frame(tally: Tally) -> None:
        if not killed:
            killed.append(parsers()[0])
            kill(killed[0])

    report = run(clips, dots, tmp_path, 3, at_once=3, on_frame=on_frame)
    assert report.exit_code == 7
    (bad,) = [tally for tally in report.sources if tally.error is not None]
    assert isinstance(bad.error, EngineError)
    assert str(bad.error).startswith(f"{bad.source}: parser ")
    assert "was killed by SIGKILL" in str(bad.error)
    lines = read_lines(tmp_path / "o.jsonl")
    for tally, source in zip(report.sources, clips, strict=True):
        frames = [line["frame"] for line in lines if line["source"] == str(source)]
        assert frames == list(range(len(frames)))
        if tally is not bad:
            assert len(frames) == tally.frames == tally.expected


def test_sources_that_begin_later_are_parsed_by_those_that_live(
    tmp_path: Path, clips: list[Path], dots: Path
) -> None:
    more = [clip(tmp_path / f"more-{i}.mp4", 10) for i in range(6)]
    killed: list[int] = []

    def on_frame(tally: Tally) -> None:
        if not killed:
            killed.append(parsers()[0])
            kill(killed[0])

    report = run([clips[0], *more], dots, tmp_path, 3, at_once=1, on_frame=on_frame)
    assert [tally.error for tally in report.sources[1:]] == [None] * 6
    assert [tally.frames for tally in report.sources[1:]] == [10] * 6
    lines = read_lines(tmp_path / "o.jsonl")
    for source in map(str, more):
        assert [line["frame"] for line in lines if line["source"] == source] == list(range(10))


def test_without_a_parser_the_run_fails(tmp_path: Path, clips: list[Path], dots: Path) -> None:
    def on_frame(tally: Tally) -> None:
        for pid in parsers():
            kill(pid)

    report = run(clips, dots, tmp_path, 2, at_once=1, on_frame=on_frame)
    assert report.exit_code == EngineError.exit_code
    assert str(report.failure).startswith("no parser is left of 2: parser 1 was killed by SIGKILL")
    assert report.sources[0].frames > 0
    assert parsers() == []


def test_a_full_disk_ends_the_run_and_its_parsers(clips: list[Path], dots: Path) -> None:
    report = posert.run(clips, jsonl="/dev/full", model=str(dots), form="compact", processes=2)
    assert isinstance(report.failure, OutputError)
    assert parsers() == []


def test_a_stop_keeps_what_was_inferred(tmp_path: Path, clips: list[Path], dots: Path) -> None:
    import threading

    stop = threading.Event()
    report = run(clips, dots, tmp_path, 2, stop=stop, on_frame=lambda tally: stop.set())
    assert report.stopped
    assert len(read_lines(tmp_path / "o.jsonl")) == report.frames > 0
    videos = [path for tally in report.sources for path in tally.outputs if tally.frames]
    assert sum(len(read(path)) for path in videos) == report.frames
    assert parsers() == []
