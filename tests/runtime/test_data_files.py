"""JSONL, CSV, COCO results and OpenPose JSON: what is in them."""

from __future__ import annotations

import csv
import errno
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from posert.engine_builder.card import find_card, read_topology
from posert.errors import ConfigError, OutputError
from posert.postprocess.formats import COCO, OPENPOSE_COCO_18
from posert.postprocess.topology import Topology
from posert.runtime.sinks import coco, data_sinks, openpose
from posert.runtime.sinks.contact_sheet import ContactSheet
from posert.runtime.sinks.sink import Sink, TextFile, unwritable
from posert.runtime.sources.inputs import PICTURES, VIDEOS
from posert.types import Frame, People, Result, SourceInfo

TOPOLOGY = read_topology(find_card("pose-small").topology_path)
CLIP = SourceInfo("clips/street ü.mp4", 640, 480, Fraction(25), Fraction(1, 25))


def one_person() -> People:
    """Keypoint k at (10 k + 0.125, k), score k / 100; the left ear (3) is missing."""
    keypoints = np.array([[(10 * k + 0.125, k, k / 100) for k in range(18)]], np.float32)
    keypoints[0, 3] = np.nan
    return People(keypoints, np.array([0.75], np.float32))


def nobody() -> People:
    return People(np.zeros((0, 18, 3), np.float32), np.zeros(0, np.float32))


def followed(*ids: int) -> People:
    """As many of that person, with these ids."""
    one = one_person()
    keypoints, scores = np.repeat(one.keypoints, len(ids), 0), np.repeat(one.scores, len(ids))
    return People(keypoints, scores, ids=np.array(ids))


def result(index: int, people: People, source: SourceInfo = CLIP) -> Result:
    image = np.zeros((480, 640, 3), np.uint8)
    return Result(source, Frame(image, index, index, index / 25), people)


def write(sinks: list[Sink]) -> None:
    """Three frames: one person, nobody, one person."""
    (sink,) = sinks
    for index, people in enumerate((one_person(), nobody(), one_person())):
        sink.write([result(index, people)])
    sink.close()


def test_jsonl_has_a_line_a_frame_and_null_for_what_is_missing(tmp_path: Path) -> None:
    write(data_sinks(TOPOLOGY, jsonl=tmp_path / "o.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert [line["time"] for line in lines] == [0, 0.04, 0.08]
    assert [len(line["people"]) for line in lines] == [1, 0, 1]
    first = lines[0]
    assert (first["source"], first["width"], first["height"]) == ("clips/street ü.mp4", 640, 480)
    (person,) = first["people"]
    assert person["score"] == 0.75
    assert list(person["keypoints"]) == list(TOPOLOGY.keypoints)
    assert person["keypoints"]["left_ear"] is None
    assert person["keypoints"]["right_ear"] == pytest.approx([40.12, 4, 0.04], abs=0.01)


def test_jsonl_rounds_as_python_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keypoints = (rng.random((300, 18, 3)) * (4000, -4000, 1)).astype(np.float32)
    keypoints[:, 4] = np.rint(keypoints[:, 4] * 8) / 8  # halves of a step: 0.125 and the like
    keypoints[rng.random((300, 18)) < 0.3] = np.nan
    scores = rng.random(300).astype(np.float32)
    (sink,) = data_sinks(TOPOLOGY, jsonl=tmp_path / "o.jsonl")
    sink.write([result(0, People(keypoints, scores))])
    sink.close()
    people = json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["people"]
    assert [person["score"] for person in people] == [round(s, 4) for s in scores.tolist()]
    for person, points in zip(people, keypoints.tolist(), strict=True):
        assert list(person["keypoints"].values()) == [
            None if x != x else [round(x, 2), round(y, 2), round(s, 4)] for x, y, s in points
        ]


def test_jsonl_has_names_of_any_characters(tmp_path: Path) -> None:
    odd = Topology("odd", ('5 % "big" toe', "Knöchel"), (), ())
    (sink,) = data_sinks(odd, jsonl=tmp_path / "o.jsonl")
    sink.write([result(0, People(np.ones((1, 2, 3), np.float32), np.ones(1, np.float32)))])
    sink.close()
    (person,) = json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["people"]
    assert tuple(person["keypoints"]) == odd.keypoints


def test_jsonl_has_the_age_and_the_size_of_a_live_frame(tmp_path: Path) -> None:
    (sink,) = data_sinks(TOPOLOGY, jsonl=tmp_path / "o.jsonl")
    smaller = np.zeros((120, 160, 3), np.uint8)  # than the source was when it was opened
    seen = time.monotonic() - 2
    sink.write([Result(CLIP, Frame(smaller, 0, 0, 0.0, seen_s=seen), one_person())])
    sink.write([result(1, one_person())])
    sink.close()
    live, file = map(json.loads, (tmp_path / "o.jsonl").read_text("utf-8").splitlines())
    assert (live["width"], live["height"]) == (160, 120)
    assert live["age"] >= 2
    assert "age" not in file


def test_every_format_says_who_is_followed(tmp_path: Path) -> None:
    one = result(0, followed(0, 7))
    sinks = data_sinks(
        TOPOLOGY, jsonl=tmp_path / "o.jsonl", csv=tmp_path / "o.csv", coco=tmp_path / "o.json",
        openpose_json=tmp_path / "o",
    )  # fmt: skip
    for sink in sinks:
        sink.write([one])
        sink.close()
    line = json.loads((tmp_path / "o.jsonl").read_text("utf-8"))
    assert [person["id"] for person in line["people"]] == [None, 7]
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["", "7"]
    entries = json.loads((tmp_path / "o.json").read_text())
    assert [entry.get("track_id") for entry in entries] == [None, 1]
    (file_of_frame,) = (tmp_path / "o").iterdir()
    people = json.loads(file_of_frame.read_text())["people"]
    assert [person["person_id"] for person in people] == [[-1], [7]]


def test_csv_has_a_row_a_person_and_one_for_an_empty_frame(tmp_path: Path) -> None:
    write(data_sinks(TOPOLOGY, csv=tmp_path / "o.csv"))
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    assert [row["person"] for row in rows] == ["0", "", "0"]
    assert rows[0]["source"] == "clips/street ü.mp4"
    assert len(rows[0]) == 6 + 3 * 18
    assert rows[0]["left_ear_x"] == rows[0]["left_ear_y"] == rows[0]["left_ear_score"] == ""
    assert float(rows[0]["neck_x"]) == pytest.approx(170.125, abs=0.001)
    assert float(rows[0]["neck_score"]) == pytest.approx(0.17)
    assert rows[1]["score"] == rows[1]["nose_x"] == ""


def test_coco_results_are_51_numbers_in_coco_s_order(tmp_path: Path) -> None:
    write(data_sinks(TOPOLOGY, coco=tmp_path / "o.json"))
    entries = json.loads((tmp_path / "o.json").read_text())
    assert [entry["image_id"] for entry in entries] == [0, 2]
    assert {entry["category_id"] for entry in entries} == {1}
    assert entries[0]["score"] == 0.75
    numbers = np.array(entries[0]["keypoints"])
    assert numbers.shape == (51,)
    wanted = [TOPOLOGY.keypoints.index(name) for name in COCO]
    expected = np.nan_to_num(one_person().keypoints[0, wanted], nan=0.0)
    np.testing.assert_allclose(numbers.reshape(17, 3), expected, atol=0.001)
    assert numbers[9:12].tolist() == [0, 0, 0]


def track_ids(path: Path, *results: Result) -> list[int]:
    (sink,) = data_sinks(TOPOLOGY, coco=path)
    for each in results:
        sink.write([each])
    sink.close()
    return [entry["track_id"] for entry in json.loads(path.read_text())]


def test_coco_gives_people_of_two_sources_different_track_ids(tmp_path: Path) -> None:
    other = replace(CLIP, name="other.mp4")
    told = track_ids(
        tmp_path / "o.json", result(0, followed(1)), result(0, followed(2, 1), other),
        result(1, followed(3, 1)), result(1, followed(1), other), result(2, followed(3)),
    )  # fmt: skip
    assert told == [1, 3, 2, 4, 1, 2, 4]


def test_coco_track_ids_of_one_source_are_its_ids(tmp_path: Path) -> None:
    frames = [(2, 1), (1, 2), (4, 2, 3), (5,)]
    told = track_ids(
        tmp_path / "o.json", *(result(i, followed(*ids)) for i, ids in enumerate(frames))
    )
    assert told == [who for ids in frames for who in ids]


def test_coco_forgets_people_who_are_long_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "_MOST_KNOWN", 2)
    ids = [1, 2, 1, 3, 1, 2]
    told = track_ids(tmp_path / "o.json", *(result(i, followed(n)) for i, n in enumerate(ids)))
    assert told == [1, 2, 1, 3, 1, 4]  # 2 was the longest gone when 3 came


def test_coco_takes_the_image_id_of_a_numbered_picture(tmp_path: Path) -> None:
    (sink,) = data_sinks(TOPOLOGY, coco=tmp_path / "o.json")
    still = SourceInfo("val/000000123456.jpg", 640, 480, Fraction(1), Fraction(1), still=True)
    sink.write([result(0, one_person(), still)])
    sink.close()
    assert json.loads((tmp_path / "o.json").read_text())[0]["image_id"] == 123456


def test_coco_of_nobody_is_an_empty_list(tmp_path: Path) -> None:
    (sink,) = data_sinks(TOPOLOGY, coco=tmp_path / "o.json")
    sink.write([result(0, nobody())])
    sink.close()
    assert json.loads((tmp_path / "o.json").read_text()) == []


def test_openpose_json_is_54_numbers_in_openpose_s_order(tmp_path: Path) -> None:
    write(data_sinks(TOPOLOGY, openpose_json=tmp_path / "new" / "o"))
    files = sorted(path.name for path in (tmp_path / "new" / "o").iterdir())
    assert files == [f"street_ü_{i:012d}_keypoints.json" for i in range(3)]
    pages = [json.loads((tmp_path / "new" / "o" / name).read_text()) for name in files]
    assert [len(page["people"]) for page in pages] == [1, 0, 1]
    assert pages[0]["version"] == 1.3
    numbers = np.array(pages[0]["people"][0]["pose_keypoints_2d"])
    assert numbers.shape == (54,)
    wanted = [TOPOLOGY.keypoints.index(name) for name in OPENPOSE_COCO_18]
    expected = np.nan_to_num(one_person().keypoints[0, wanted], nan=0.0)
    np.testing.assert_allclose(numbers.reshape(18, 3), expected, atol=0.001)
    assert OPENPOSE_COCO_18[:3] == ("nose", "neck", "right_shoulder")
    assert numbers[51:].tolist() == [0, 0, 0]  # the left ear is last


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["cam.1", "cam.2"], ["cam.1", "cam.2"]),
        (["hall v1.0", "gate"], ["hall_v1.0", "gate"]),
        (["a/clip.MP4", "b/clip.avi"], ["clip", "clip-2"]),
        (["a/photo.v2.jpg", "/dev/video0"], ["photo.v2", "video0"]),
        (["rtsp://host/live.sdp", "cam.2"], ["rtsp___host_live.sdp", "cam.2"]),
    ],
)
def test_openpose_files_have_the_names_of_their_sources(
    tmp_path: Path, names: list[str], stems: list[str]
) -> None:
    (sink,) = data_sinks(TOPOLOGY, openpose_json=tmp_path / "o")
    sink.write([result(0, nobody(), replace(CLIP, name=name)) for name in names])
    sink.close()
    written = {path.name for path in (tmp_path / "o").iterdir()}
    assert written == {f"{stem}_{0:012d}_keypoints.json" for stem in stems}


def test_openpose_files_know_the_ending_of_each_file_that_is_read() -> None:
    assert PICTURES | VIDEOS == openpose.ENDINGS


@pytest.mark.parametrize("form", ["coco", "openpose_json"])
def test_a_form_that_needs_other_keypoints_is_refused(tmp_path: Path, form: str) -> None:
    hand = Topology("hand", ("wrist", "thumb"), ((0, 1),), ((0, 1),))
    with pytest.raises(ConfigError, match=r"'nose'.*'hand' without it; use --jsonl or --csv"):
        data_sinks(hand, **{form: tmp_path / "o"})


@pytest.mark.parametrize("form", ["jsonl", "csv", "coco", "openpose_json"])
def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        data_sinks(TOPOLOGY, **{form: tmp_path / "file" / "o"})


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "choose a place you may write to"),
        (errno.EROFS, "choose a place you may write to"),
        (errno.EISDIR, "choose another place"),
    ],
)
def test_the_advice_fits_what_went_wrong(number: int, advice: str) -> None:
    message = str(unwritable(Path("o"), OSError(number, "why")))
    assert message == f"o: cannot be written: got why; {advice}"


_LINES = """
import sys, time
from pathlib import Path
from posert.runtime.sinks.sink import TextFile
file = TextFile(Path("-"))
file.write("first\\n")
sys.stdin.read()
"""


def test_each_line_of_stdout_is_in_the_pipe_when_it_is_written() -> None:
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", _LINES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=buffered
    ) as process:  # it waits for its stdin, so that its end does not flush the line
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 30)
        process.communicate()
    assert ready


def test_a_pipe_that_is_read_no_more_ends_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", broken)
    file = TextFile(Path("-"))
    with pytest.raises(BrokenPipeError):
        file.write("first\n")
    file.close()
    with pytest.raises(BrokenPipeError):
        broken.close()


@pytest.mark.parametrize(
    ("shapes", "height", "width"),
    [([(20000, 2)], 640, 1), ([(2, 20000)], 1, 640), ([(480, 640), (640, 320)], 640, 640)],
)
def test_a_cell_of_the_sheet_is_never_larger_than_its_box(
    tmp_path: Path, shapes: list[tuple[int, int]], height: int, width: int
) -> None:
    sheet = ContactSheet(tmp_path / "s.png")
    for shape in shapes:
        image = np.full((*shape, 3), 255, np.uint8)
        sheet.write(image, Frame(image, 0, 0, 0.0))
    sheet.close()
    made = cv2.imread(str(tmp_path / "s.png"))
    assert made is not None
    assert made.shape[:2] == (height + 12, len(shapes) * (width + 6) + 6)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_each_line_is_on_disk_when_its_frame_is_done(tmp_path: Path, form: str) -> None:
    (sink,) = data_sinks(TOPOLOGY, **{form: tmp_path / "o"})
    sink.write([result(0, one_person())])
    text = (tmp_path / "o").read_text("utf-8")
    assert text.endswith("\n")
    assert "street" in text
    sink.close()
