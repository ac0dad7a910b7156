"""``posert eval``: known accuracy on known data, the parser that is better, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import pytest
from making.command import Command

from posert.config import shipped
from posert.evaluate import METRICS, evaluate
from posert.pose import Pose
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of the shipped clip as pictures, their truth as COCO annotations."""
    folder = tmp_path_factory.mktemp("walkers")
    demo = shipped("demo")
    truth = json.loads((demo / "walkers.truth.json").read_text())
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    source = VideoFile(demo / "walkers.mp4")
    for frame in source.frames(Span(every=30)):
        images.append({"id": frame.index, "file_name": f"{frame.index}.png"})
        cv2.imwrite(str(folder / f"{frame.index}.png"), frame.image)
        for person in truth["frames"][frame.index]:
            x, y, width, height = person["bbox"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame.index,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": 0.5 * width * height,
                    "iscrowd": 0,
                    "keypoints": [number for point in person["keypoints"] for number in point],
                }
            )
    source.close()
    category = {"id": 1, "name": "person", "keypoints": truth["keypoints"], "skeleton": []}
    data = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "truth.json").write_text(json.dumps(data))
    return folder


def test_the_walkers_are_found(walkers: Path, posert: Command, tmp_path: Path) -> None:
    outcome = posert(
        "eval", "--annotations", walkers / "truth.json", "--images", walkers,
        "--json", tmp_path / "eval.json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "AP" in outcome.out
    assert "images/s" in outcome.out
    result = json.loads((tmp_path / "eval.json").read_text())
    assert set(result["metrics"]) == set(METRICS)
    assert result["metrics"]["AP50"] > 0.5
    assert (result["images"], result["missing_images"]) == (10, 0)
    assert {stage["stage"] for stage in result["stages"]} == {"engine", "parse"}


def test_a_limit_and_missing_images_are_told(walkers: Path, posert: Command) -> None:
    limited = posert(
        "eval", "--annotations", walkers / "truth.json", "--images", walkers, "--limit", "2"
    )
    assert "2 images" in limited.out


def test_nobody_found_is_an_ap_of_zero(walkers: Path) -> None:
    result = evaluate(Pose(min_score=1e9), walkers / "truth.json", walkers, limit=2)
    assert set(result.metrics.values()) == {0.0}


def test_an_absent_folder_is_an_input_error(walkers: Path, posert: Command, tmp_path: Path) -> None:
    outcome = posert("eval", "--annotations", walkers / "truth.json", "--images", tmp_path)
    assert outcome.code == 3
    assert "holds none of the 10 images" in outcome.refusal()


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"images": [], "annotations": [{}]}'])
def test_other_json_is_an_input_error(text: str, posert: Command, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    outcome = posert("eval", "--annotations", tmp_path / "a.json", "--images", tmp_path)
    assert outcome.code == 3
    assert "a.json" in outcome.refusal()


@pytest.fixture(scope="module")
def ap(shared: Path) -> Callable[..., float]:
    """AP on 300 images of COCO val2017."""
    folder = shared / "data" / "coco_val"

    @cache
    def measured(parser: str, precision: str) -> float:
        pose = Pose(parser=parser, precision=precision)
        metrics = evaluate(pose, folder / "person_keypoints.json", folder / "images").metrics
        return metrics["AP"]

    return measured


@pytest.mark.slow
def test_coco_val_is_found_better_than_by_trt_poses_parser(ap: Callable[..., float]) -> None:
    theirs = ap("trt_pose", "fp32")
    assert theirs == pytest.approx(0.228, abs=0.004)  # 0.224 is the card's, pixel centres add some
    assert ap("posert", "fp32") > theirs + 0.03


@pytest.mark.slow
def test_the_int8_default_costs_a_hundredth_of_ap_at_most(ap: Callable[..., float]) -> None:
    assert ap("posert", "auto") > ap("posert", "fp32") - 0.01
