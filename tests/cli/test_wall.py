"""Many sources from one command or one file: names, settings of their own, one wall."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making.clips import clip, read
from making.command import Command
from making.networks import echo_network, read_lines
from making.pictures import flat, picture


@pytest.fixture
def wall(tmp_path: Path, dots: Path) -> Path:
    """A configuration of two clips, the second without ids."""
    steps = [picture(noses=[(40 + i / 2, 29.5)]) for i in range(24)]
    clip(tmp_path / "a.mp4", steps)
    clip(tmp_path / "b.mp4", steps[:12])
    settings = {
        "model": str(dots),
        "sources": [
            {"input": str(tmp_path / "a.mp4"), "name": "gate"},
            {"input": str(tmp_path / "b.mp4"), "name": "yard", "track": False},
        ],
        "track_min_hits": 2,
    }
    path = tmp_path / "wall.json"
    path.write_text(json.dumps(settings))
    return path


def by_source(path: Path) -> dict[str, list[dict[str, Any]]]:
    lines = defaultdict(list)
    for line in read_lines(path):
        lines[line["source"]].append(line)
    return dict(lines)


def test_a_file_of_sources_is_run_with_what_each_has_of_its_own(
    posert: Command, wall: Path, tmp_path: Path
) -> None:
    outcome = posert("run", "--config", wall, "--output-dir", tmp_path / "o", "--jsonl",
                     tmp_path / "o.jsonl")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["gate.mp4", "yard.mp4"]
    lines = by_source(tmp_path / "o.jsonl")
    assert [line["frame"] for line in lines["gate"]] == list(range(24))
    assert [line["frame"] for line in lines["yard"]] == list(range(12))
    ids = [person["id"] for line in lines["gate"] for person in line["people"]]
    assert ids == [None] + [1] * 23  # from the second frame on it is known who it is
    assert all("id" not in person for line in lines["yard"] for person in line["people"])
    assert "1 followed" in outcome.err


def test_what_is_named_on_the_command_line_is_run_instead(
    posert: Command, wall: Path, walk: Path, tmp_path: Path
) -> None:
    outcome = posert("run", walk, "--config", wall, "--jsonl", tmp_path / "o.jsonl", "--no-track")
    assert outcome.code == 0, outcome.err
    (lines,) = by_source(tmp_path / "o.jsonl").values()
    assert lines[0]["source"] == str(walk)
    assert "id" not in lines[5]["people"][0]


def test_a_wall_shows_every_source_to_its_end_and_says_which_failed(
    posert: Command, tmp_path: Path, dots: Path
) -> None:
    green, blue = flat(96, 64, (0, 200, 0)), flat(96, 64, (200, 0, 0))
    clip(tmp_path / "green.mp4", [green] * 20)
    clip(tmp_path / "blue.mp4", [blue] * 10)
    outcome = posert(
        "run", tmp_path / "green.mp4", tmp_path / "blue.mp4", tmp_path / "gone.mp4",
        "--tile", tmp_path / "wall.mp4", "--tile-size", "640x480", "--model", dots,
    )  # fmt: skip
    assert outcome.code == 7
    assert "gone.mp4: no such file" in outcome.err
    frames = read(tmp_path / "wall.mp4")
    assert len(frames) == 20
    assert frames[0].shape == (480, 640, 3)
    left, right = frames[5][40:220, 40:280], frames[5][40:220, 360:600]
    assert np.median(left, axis=(0, 1)).argmax() == 1
    assert np.median(right, axis=(0, 1)).argmax() == 0
    below = frames[5][260:, :320]
    assert below.any(axis=(0, 1)).all()  # the third says what is wrong


def test_a_run_ends_with_a_wall_that_is_all_it_makes(
    posert: Command, tmp_path: Path, dots: Path
) -> None:
    clip(tmp_path / "a.mp4", [flat(96, 64, (0, 200, 0))] * 500)
    too_long = tmp_path / f"wall{'l' * 300}.mp4"
    outcome = posert("run", tmp_path / "a.mp4", "--tile", too_long, "--model", dots)
    assert outcome.code == 5
    (frames,) = re.findall(r"stopped: (\d+) frames", outcome.err)
    assert int(frames) < 500


def test_the_report_names_the_files_of_a_wall_in_parts(
    posert: Command, tmp_path: Path, dots: Path
) -> None:
    clip(tmp_path / "a.mp4", [flat(96, 64, (0, 200, 0))] * 60)  # 2 s
    (tmp_path / "wall.mp4").touch()  # of an earlier run
    outcome = posert(
        "run", tmp_path / "a.mp4", "--tile", tmp_path / "wall.mp4", "--tile-size", "320x240",
        "--segment", "1s", "--model", dots,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    parts = sorted(path.name for path in tmp_path.glob("wall?*.mp4"))
    assert len(parts) > 1
    said = outcome.out + outcome.err
    assert all(part in said for part in parts)
    assert "wall.mp4" not in said


def test_faces_that_a_model_cannot_find_are_told_before_anything_is_run(
    posert: Command, walk: Path, tmp_path: Path
) -> None:
    (tmp_path / "abc").mkdir()
    model = echo_network(tmp_path / "abc")  # keypoints a, b and c
    outcome = posert("run", walk, "-o", tmp_path / "o.mp4", "--blur-faces", "--model", model)
    assert outcome.code == 6
    assert "blur_faces" in outcome.refusal()
    assert not (tmp_path / "o.mp4").exists()


def test_a_wall_that_cannot_be_written_is_told_and_the_data_are_whole(
    posert: Command, walk: Path, dots: Path, tmp_path: Path
) -> None:
    too_long = tmp_path / f"wall{'l' * 300}.mp4"
    outcome = posert(
        "run", walk, "--tile", too_long, "--jsonl", tmp_path / "o.jsonl", "--model", dots
    )
    assert outcome.code == 5
    assert "walllll" in outcome.refusal()
    assert len(read_lines(tmp_path / "o.jsonl")) == 12


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([{"input": "a", "nmae": "gate"}], "unknown key 'sources.0.nmae' (did you mean 'name'?)"),
        ([{"name": "gate"}], "'sources.0.input' is missing"),
        ([{"input": "a", "track": "maybe"}], "sources.0.track: got"),
        ([{"input": "a", "name": "x"}, {"input": "b", "name": "x"}], "'x': got two sources"),
        ("rtsp://gate/1", "sources: got 'rtsp://gate/1', expected a list"),
    ],
)
def test_wrong_sources_are_refused(
    posert: Command, tmp_path: Path, sources: object, message: str
) -> None:
    path = tmp_path / "wall.json"
    path.write_text(json.dumps({"sources": sources, "jsonl": str(tmp_path / "o.jsonl")}))
    outcome = posert("run", "--config", path)
    assert outcome.code == 6
    assert message in outcome.refusal()
