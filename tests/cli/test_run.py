"""``posert run``: inputs, outputs, exit codes, what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from making.clips import clip, read, times
from making.command import Command
from making.networks import read_lines
from making.pictures import picture


def test_one_file(posert: Command, tmp_path: Path, walk: Path, dots: Path) -> None:
    outcome = posert("run", walk, "--model", dots, "-o", tmp_path / "new" / "out.mp4")
    assert outcome.code == 0
    assert outcome.out == ""
    assert "done: 12 frames, 12 people (1.0 a frame)" in outcome.err
    assert f"wrote {tmp_path / 'new' / 'out.mp4'}" in outcome.err
    assert len(read(tmp_path / "new" / "out.mp4")) == 12


def test_several_files_go_to_a_folder(
    posert: Command, tmp_path: Path, walk: Path, dots: Path
) -> None:
    other = clip(tmp_path / "other" / "walk.mkv", 5)
    still = tmp_path / "p.png"
    cv2.imwrite(str(still), picture())
    outcome = posert("run", walk, other, still, "--model", dots, "-o", tmp_path / "out")
    assert outcome.code == 0
    made = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert made == ["p.png", "walk-2.mp4", "walk.mp4"]
    assert len(read(tmp_path / "out" / "walk-2.mp4")) == 5


@pytest.mark.parametrize("form", ["folder", "glob"])
def test_a_folder_or_glob_is_all_that_is_in_it_sorted(
    posert: Command, tmp_path: Path, dots: Path, form: str
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.jpg", "c.PNG"):
        cv2.imwrite(str(tmp_path / "in" / name), picture())
    (tmp_path / "in" / "notes.md").write_text("no picture")
    given = tmp_path / "in" if form == "folder" else f"{tmp_path}/in/*.[jpP]*"
    outcome = posert("run", given, "--model", dots, "--jsonl", tmp_path / "o.jsonl")
    assert outcome.code == 0
    sources = [Path(line["source"]).name for line in read_lines(tmp_path / "o.jsonl")]
    assert sources == ["a.jpg", "b.png", "c.PNG"]


def test_an_empty_folder_and_a_glob_without_match_are_refused(
    posert: Command, tmp_path: Path, dots: Path
) -> None:
    (tmp_path / "in").mkdir()
    outcome = posert("run", tmp_path / "in", "--model", dots, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert "holds no picture or video" in outcome.refusal()
    outcome = posert("run", f"{tmp_path}/*.mp4", "--model", dots, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert "matches no file" in outcome.refusal()


def test_flags_reach_the_run(posert: Command, tmp_path: Path, walk: Path, dots: Path) -> None:
    outcome = posert(
        "run", walk, "--model", dots, "--jsonl", tmp_path / "o.jsonl", "-o", tmp_path / "o.mp4",
        "--start", "0.08", "--every", "3", "--max-frames", "2", "--input-size", "64x96",
        "--workers", "2", "--threshold", "0.3", "--link-threshold", "0.2", "--max-peaks", "9",
        "--max-people", "3", "--min-parts", "1", "--min-score", "0", "--parser", "trt_pose",
        "--colours", "ids", "--line-width", "2", "--boxes", "--encoder", "libx264",
        "--backend", "onnxruntime", "--contact-sheet", tmp_path / "sheet.png",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert [line["frame"] for line in read_lines(tmp_path / "o.jsonl")] == [2, 5]
    assert len(times(tmp_path / "o.mp4")) == 2
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 1280


def test_jsonl_to_stdout_is_data_only(posert: Command, walk: Path, dots: Path) -> None:
    outcome = posert("run", walk, "--model", dots, "--jsonl", "-")
    assert outcome.code == 0
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert "done: 12 frames" in outcome.err


def test_quiet_prints_errors_only(posert: Command, tmp_path: Path, walk: Path, dots: Path) -> None:
    good = posert("run", walk, "--model", dots, "-o", tmp_path / "o.mp4", "--quiet")
    assert (good.code, good.out, good.err) == (0, "", "")
    bad = posert("run", tmp_path / "no.mp4", "--model", dots, "-o", tmp_path / "o.mp4", "-q")
    assert bad.code == 3
    assert bad.err.splitlines() == [bad.refusal()]


def test_a_file_of_settings_is_overruled_by_flags(
    posert: Command, tmp_path: Path, walk: Path, dots: Path
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"model: {dots}\njsonl: {tmp_path / 'o.jsonl'}\nevery: 5\nmax_frames: 9\n")
    assert posert("run", walk, "--config", file).code == 0
    assert [line["frame"] for line in read_lines(tmp_path / "o.jsonl")] == [0, 5, 10]
    assert posert("run", walk, "--config", file, "--every", "6").code == 0
    assert [line["frame"] for line in read_lines(tmp_path / "o.jsonl")] == [0, 6]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 6, "nothing to write; give -o OUT, --jsonl FILE or another output"),
        (["-o", "out.mp4", "--model", "pose-smal"], 4, "did you mean 'pose-small'?"),
        (["-o", "out.mp4", "--every", "0"], 6, "every is 0: expected 1 or more"),
        (["-o", "out.mp4", "--colours", "pink"], 6, "colours: got 'pink'"),
        (["-o", "out.mp4", "--input-size", "big"], 6, "input_size"),
        (["-o", "out.mp4", "--input-size", "100"], 6, "got 100, expected multiples of 32"),
        (["-o", "out.mp4", "--backend", "tpu"], 9, "got tpu, expected"),
        (["-o", "out.mp4", "--threshold", "-1"], 6, "threshold=-1"),
        (["-o", "out.mp4", "--config", "absent.yaml"], 6, "absent.yaml: cannot be read"),
        (["-o", "out.avi"], 5, "got .avi, expected ['.m4v', '.mkv', '.mov', '.mp4']"),
        (["-o", "out.mp4", "--encoder", "av1"], 6, "encoder: got 'av1'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_refusal_is_one_line_with_its_exit_code(
    posert: Command,
    tmp_path: Path,
    walk: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = posert("run", walk, *arguments)
    assert outcome.code == code
    assert message in outcome.refusal()
    assert list(tmp_path.iterdir()) == []


def test_no_input_is_a_usage_error(posert: Command) -> None:
    assert posert("run", "-o", "out.mp4").code == 2


@pytest.mark.parametrize("how", ["itself", "link", "relative", "folder"])
def test_the_input_is_never_overwritten(
    posert: Command, tmp_path: Path, dots: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    source = clip(tmp_path / "in" / "walk.mp4")
    before = source.read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.mp4").symlink_to(source)
    output: dict[str, str | Path] = {
        "itself": source,
        "link": "link.mp4",
        "relative": "in/../in/walk.mp4",
        "folder": "in",
    }
    outcome = posert("run", source, "--model", dots, "-o", output[how])
    assert outcome.code == 5
    assert "is the input itself" in outcome.refusal()
    assert source.read_bytes() == before


@pytest.mark.parametrize("form", ["--jsonl", "--csv", "--coco", "--contact-sheet"])
def test_the_input_is_never_overwritten_by_data(
    posert: Command, tmp_path: Path, dots: Path, form: str
) -> None:
    source = clip(tmp_path / "walk.mp4")
    before = source.read_bytes()
    outcome = posert("run", source, "--model", dots, form, source)
    assert outcome.code == 5
    assert "is the input itself" in outcome.refusal()
    assert source.read_bytes() == before


def test_another_input_is_never_overwritten(posert: Command, tmp_path: Path, dots: Path) -> None:
    first, second = clip(tmp_path / "a.mkv", 3), clip(tmp_path / "a.mp4", 3)
    before = second.read_bytes()
    outcome = posert("run", first, second, "--model", dots, "-o", tmp_path)
    assert outcome.code == 5
    assert second.read_bytes() == before


@pytest.mark.parametrize("form", ["-o", "--jsonl", "--csv", "--coco", "--openpose-json"])
def test_an_unwritable_place_is_refused(
    posert: Command, tmp_path: Path, walk: Path, dots: Path, form: str
) -> None:
    (tmp_path / "file").write_text("in the way")  # root may write into read-only folders
    outcome = posert("run", walk, "--model", dots, form, tmp_path / "file" / "out.mp4")
    assert outcome.code == 5
    assert "cannot be written" in outcome.refusal()


def test_several_inputs_cannot_go_to_one_file(
    posert: Command, tmp_path: Path, walk: Path, dots: Path
) -> None:
    other = clip(tmp_path / "b.mp4", 3)
    outcome = posert("run", walk, other, "--model", dots, "-o", tmp_path / "out.mp4")
    assert outcome.code == 6
    assert "got 2 inputs, expected a folder for them" in outcome.refusal()


def test_all_outputs_at_once_agree(posert: Command, tmp_path: Path, walk: Path, dots: Path) -> None:
    t = tmp_path
    outcome = posert(
        "run", walk, "--model", dots, "-o", t / "o.mp4", "--jsonl", t / "o.jsonl", "--csv",
        t / "o.csv", "--coco", t / "o.json", "--openpose-json", t / "op", "--contact-sheet",
        t / "sheet.jpg",
    )  # fmt: skip
    assert outcome.code == 0
    assert len(read_lines(t / "o.jsonl")) == len(times(t / "o.mp4")) == 12
    assert len((t / "o.csv").read_text().splitlines()) == 13
    assert [e["image_id"] for e in json.loads((t / "o.json").read_text())] == list(range(12))
    assert len(list((t / "op").iterdir())) == 12
    assert cv2.imread(str(t / "sheet.jpg")) is not None
