"""posert.Pose on arrays, and with settings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from making.pictures import noses, picture

import posert
from posert.errors import ConfigError, EngineError, InputError, ModelError
from posert.types import Float32


@pytest.fixture(scope="module")
def pose(dots: Path) -> posert.Pose:
    return posert.Pose(dots, input_size=96)


def same(one: Float32, other: Float32) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def test_a_person_is_found_where_it_is(pose: posert.Pose) -> None:
    people = pose(picture(noses=[(49.5, 29.5)]))
    assert people.keypoints.shape == (1, 18, 3)
    assert people.keypoints.dtype == people.scores.dtype == np.float32
    nose, neck = people.keypoints[0, 0], people.keypoints[0, 17]
    np.testing.assert_allclose(nose[:2], (49.5, 29.5), atol=0.1)
    np.testing.assert_allclose(neck[:2], (29.5, 29.5), atol=0.1)
    assert np.isnan(people.keypoints[0, 1:17]).all()


def test_an_empty_picture_has_no_people(pose: posert.Pose) -> None:
    people = pose(np.zeros((64, 96, 3), np.uint8))
    assert len(people) == 0
    assert people.keypoints.shape == (0, 18, 3)


def test_alpha_and_16_bit_change_nothing(pose: posert.Pose) -> None:
    image = picture()
    wanted = pose(image).keypoints
    alpha = np.dstack([image, np.full(image.shape[:2], 7, np.uint8)])
    assert same(pose(alpha).keypoints, wanted)
    assert same(pose(image.astype(np.uint16) * 257).keypoints, wanted)


def test_grey_is_the_same_grey_in_three_channels(dots: Path) -> None:
    pose = posert.Pose(dots, input_size=64)
    grey = picture()[:, :, 2]
    three = np.repeat(grey[:, :, None], 3, axis=2)
    wanted = pose(three).keypoints
    for form in (grey, grey[:, :, None]):
        assert same(pose(form).keypoints, wanted)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 96, 3), np.float32),
        np.zeros((64, 96, 3), np.int64),
        np.zeros((64, 96, 3), bool),
        np.zeros((64, 96, 2), np.uint8),
        np.zeros((64, 96, 5), np.uint8),
        np.zeros((0, 96, 3), np.uint8),
        np.zeros((64, 0), np.uint8),
        np.zeros(64, np.uint8),
        np.zeros((1, 64, 96, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{image.shape}",
)
def test_what_is_no_picture_is_refused(pose: posert.Pose, image: npt.NDArray[np.generic]) -> None:
    with pytest.raises(InputError, match=r"image: got .*, expected"):
        pose(image)


def test_the_picture_is_left_as_it_is(pose: posert.Pose) -> None:
    image = picture()
    before = image.copy()
    image.flags.writeable = False
    pose(image)
    np.testing.assert_array_equal(image, before)


def test_a_view_is_as_good_as_its_copy(pose: posert.Pose) -> None:
    image = picture(192, 128)[::2, ::2]
    assert same(pose(image).keypoints, pose(image.copy()).keypoints)
    flipped = picture()[:, ::-1]
    assert same(pose(flipped).keypoints, pose(np.ascontiguousarray(flipped)).keypoints)


def test_a_png_gives_the_people_of_its_pixels(
    pose: posert.Pose, dots: Path, tmp_path: Path
) -> None:
    from making.networks import read_lines

    image = picture(noses=[(49.5, 17.5), (53.5, 45.5)])
    cv2.imwrite(str(tmp_path / "two.png"), image)
    posert.run(tmp_path / "two.png", model=str(dots), input_size=96, jsonl=tmp_path / "two.jsonl")
    (line,) = read_lines(tmp_path / "two.jsonl")
    found = sorted(tuple(p["keypoints"]["nose"][:2]) for p in line["people"])
    assert len(found) == 2
    np.testing.assert_allclose(found, noses(pose(image)), atol=0.006)  # rounded to 0.01 px


def test_settings_reach_the_parser(dots: Path) -> None:
    two = picture(noses=[(49.5, 17.5), (49.5, 45.5)])
    assert len(posert.Pose(dots, input_size=96)(two)) == 2
    assert len(posert.Pose(dots, input_size=96, max_people=1)(two)) == 1
    assert len(posert.Pose(dots, input_size=96, min_parts=3)(two)) == 0
    assert len(posert.Pose(dots, input_size=96, threshold=0.999)(two)) == 0
    assert len(posert.Pose(dots, input_size=96, min_score=0.999)(two)) == 0


def test_a_wrong_setting_is_refused_at_once(dots: Path) -> None:
    with pytest.raises(ConfigError, match=r"'treshold' \(did you mean 'threshold'\?\)"):
        posert.Pose(dots, treshold=0.1)
    with pytest.raises(ConfigError, match="threshold"):
        posert.Pose(dots, threshold=-1.0)
    with pytest.raises(ConfigError, match="max_peaks"):
        posert.Pose(dots, max_peaks=0)
    with pytest.raises(ConfigError, match="input size: got 65, expected multiples of 4"):
        posert.Pose(dots, input_size=65)


def test_a_wrong_backend_is_refused_with_the_known_ones(dots: Path) -> None:
    with pytest.raises(EngineError, match=r"did you mean 'onnxruntime'.*'auto'"):
        posert.Pose(dots, "onxruntime")


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"no model 'pose-smal' \(did you mean 'pose-small'\?\)"):
        posert.Pose("pose-smal")


def test_the_trt_pose_parser_can_be_chosen(dots: Path) -> None:
    found = posert.Pose(dots, input_size=96, parser="trt_pose")(picture(noses=[(49.5, 29.5)]))
    np.testing.assert_allclose(noses(found), [(49.5, 29.5)], atol=0.1)


def test_the_shipped_model_runs_by_its_name() -> None:
    people = posert.Pose(input_size=256)(np.zeros((240, 320, 3), np.uint8))
    assert people.keypoints.shape[1:] == (18, 3)
