"""The shipped clip: of the promised form, its people found where they were rendered."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from making.command import Command

from posert.config import shipped
from posert.pose import Pose
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.self_test import REQUIRED, run_self_test

DEMO = shipped("demo")


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose()


def test_the_clip_is_ten_seconds_of_720p_in_less_than_a_megabyte() -> None:
    assert (DEMO / "walkers.mp4").stat().st_size <= 1_000_000
    with av.open(str(DEMO / "walkers.mp4")) as clip:
        video = clip.streams.video[0]
        assert (video.width, video.height, video.codec.name) == (1280, 720, "h264")
        assert (video.frames, float(video.average_rate or 0)) == (300, 30.0)


def test_six_to_eight_people_walk_through_it() -> None:
    truth = json.loads((DEMO / "walkers.truth.json").read_text())
    assert len(truth["frames"]) == 300
    walkers = {person["id"] for frame in truth["frames"] for person in frame}
    assert 6 <= len(walkers) <= 8
    first, last = ({p["id"]: p["bbox"] for p in truth["frames"][i]} for i in (0, 299))
    moved = [np.hypot(*np.subtract(first[i][:2], last[i][:2])) for i in first.keys() & last.keys()]
    assert min(moved) > 20


def test_its_people_are_found_where_they_are(pose: Pose) -> None:
    assert run_self_test(pose).keypoints_found >= REQUIRED


def test_the_self_test_fails_for_a_parser_that_finds_nobody() -> None:
    assert run_self_test(Pose(min_score=1e9)).keypoints_found == 0


def test_limbs_are_not_mixed_between_walkers(pose: Pose) -> None:
    """Of a person's keypoints, hardly any lie far from the walker that most of them belong to."""
    truth = json.loads((DEMO / "walkers.truth.json").read_text())
    order = [truth["keypoints"].index(name) for name in pose.topology.keypoints]
    clip = VideoFile(DEMO / "walkers.mp4")
    astray = found = 0
    for frame in clip.frames(Span(every=6)):
        walkers = truth["frames"][frame.index]
        known = np.array([walker["keypoints"] for walker in walkers])[:, order, :2]
        heights = np.array([walker["bbox"][3] for walker in walkers])
        for keypoints in pose(frame.image).keypoints:
            there = ~np.isnan(keypoints[:, 0])
            distances = np.linalg.norm(known - keypoints[:, :2], axis=2) / heights[:, None]
            own = (distances < 0.06).sum(axis=1).argmax()
            astray += int((distances[own, there] > 0.3).sum())
            found += int(there.sum())
    clip.close()
    assert found > 4000
    assert astray / found < 0.01


def test_doctor_says_what_is_here_and_passes(posert: Command, tmp_path: Path) -> None:
    outcome = posert("doctor", "--json", tmp_path / "doctor.json")
    assert outcome.code == 0, outcome.out
    assert "all that is needed works" in outcome.out
    checks = {c["name"]: c for c in json.loads((tmp_path / "doctor.json").read_text())["checks"]}
    for name in ("OpenCV", "FFmpeg", "encoder libx264", "onnxruntime", "self-test"):
        assert checks[name]["state"] == "ok", checks[name]
    for name in ("GStreamer in OpenCV", "NVIDIA GPU", "TensorRT", "encoder h264_nvenc"):
        assert checks[name]["state"] == "ok" or checks[name]["advice"], checks[name]


def test_doctor_reports_a_broken_model(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "models" / "pose-small"
    broken.mkdir(parents=True)
    for name in ("card.yaml", "topology.json"):
        (broken / name).write_bytes((shipped("models") / "pose-small" / name).read_bytes())
    for name in ("pose-small.onnx", "pose-small.int8.onnx"):
        (broken / name).write_bytes(b"not an onnx")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path / "models"))
    outcome = posert("doctor")
    assert outcome.code == 8
    assert "broken   self test" in outcome.out
    assert "Traceback" not in outcome.out + outcome.err
