"""The card's word on colours, normalisation and scaling, told by networks of what they got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making.networks import (
    dots_network,
    echo_network,
    mean_colour,
    save,
    tensor,
    write_card,
    write_yaml,
)
from making.pictures import flat, picture
from onnx import helper

import posert
from posert.types import Float32, Letterbox, PoseMaps

BGR = (40, 90, 200)


def echoed(folder: Path, image: Any, **card: Any) -> Float32:
    """What the network got, as means of cells: (3, h, w)."""
    maps, _ = posert.Pose(echo_network(folder, input=card), form="maps").estimator.infer(image)
    assert isinstance(maps, PoseMaps)
    return maps.cmap


@pytest.mark.parametrize(("colour", "order"), [("bgr", (0, 1, 2)), ("rgb", (2, 1, 0))])
def test_colours_come_in_the_card_s_order(
    tmp_path: Path, colour: str, order: tuple[int, ...]
) -> None:
    found = echoed(tmp_path, flat(64, 64, BGR), colour=colour, scale=1)
    np.testing.assert_allclose(found[:, 0, 0], [BGR[c] for c in order])


def test_pixels_are_normalised_as_the_card_says(tmp_path: Path) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    found = echoed(tmp_path, flat(64, 64, BGR), scale=255, mean=mean, std=std)
    wanted = (np.array(BGR[::-1]) / 255 - mean) / std
    np.testing.assert_allclose(found[:, 0, 0], wanted, rtol=1e-5)


def test_raw_pixels_stay_raw(tmp_path: Path) -> None:
    found = echoed(tmp_path, flat(64, 64, BGR), colour="bgr", scale=1)
    assert found.dtype == np.float32
    assert np.unique(found[2]).tolist() == [200]


def test_a_letterbox_keeps_proportions_and_fills_right_and_below(tmp_path: Path) -> None:
    card = {"colour": "bgr", "scale": 1, "fill": 7, "size": [64, 64]}
    wide = echoed(tmp_path, flat(128, 64, BGR), **card)
    assert wide.shape == (3, 16, 16)
    np.testing.assert_allclose(wide[:, :8], np.array(BGR)[:, None, None] * np.ones((3, 8, 16)))
    assert (wide[:, 8:] == 7).all()
    high = echoed(tmp_path, flat(64, 128, BGR), **card)
    assert (high[:, :, 8:] == 7).all()
    np.testing.assert_allclose(high[1, :, :8], BGR[1])


def test_a_letterbox_of_a_long_side_grows_to_the_multiple_only(tmp_path: Path) -> None:
    found = echoed(tmp_path, flat(200, 100, BGR), size=64, multiple=16)
    assert found.shape == (3, 32 // 4, 64 // 4)
    found = echoed(tmp_path, flat(200, 110, BGR), size=64, multiple=16)
    assert found.shape == (3, 48 // 4, 64 // 4)


def test_stretching_fills_the_input(tmp_path: Path) -> None:
    card = {"colour": "bgr", "scale": 1, "fill": 7, "size": [64, 32], "resize": "stretch"}
    found = echoed(tmp_path, flat(300, 100, BGR), **card)
    assert found.shape == (3, 16, 8)
    assert (found[2] == 200).all()


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("input_size", [96, 128, (64, 96), (160, 96)], ids=str)
@pytest.mark.parametrize("size", [(96, 64), (64, 96), (131, 67), (97, 160)], ids=str)
def test_people_are_found_at_their_source_pixels(
    tmp_path: Path, resize: str, input_size: Any, size: tuple[int, int]
) -> None:
    nose = (size[0] * 0.6, size[1] * 0.55)
    folder = dots_network(tmp_path, input={"resize": resize}, parser={"threshold": 0.2})
    people = posert.Pose(folder, input_size=input_size)(picture(*size, [nose]))
    best = int(np.argmax(people.keypoints[:, 0, 2]))
    # Cells are up to 4 / 0.6 pixels wide here; a shift by half of one would be 2 and more.
    np.testing.assert_allclose(people.keypoints[best, 0, :2], nose, atol=0.7)
    np.testing.assert_allclose(people.keypoints[best, 17, :2], (nose[0] - 20, nose[1]), atol=0.7)


def test_the_mapping_has_an_exact_inverse() -> None:
    box = Letterbox(scale_x=0.37, scale_y=1.9, stride=8)
    xy = np.random.default_rng(3).uniform(-50, 5000, (40, 18, 2)).astype(np.float32)
    np.testing.assert_allclose(box.to_source(box.to_cells(xy)), xy, rtol=1e-5, atol=1e-3)
    # The first source pixel's centre is (0, 0); its corner is the map's corner.
    np.testing.assert_array_equal(box.to_source(np.zeros(2, np.float32)), [-0.5, -0.5])


def packed_network(folder: Path) -> Path:
    """One output of 4 + 2 + 3 channels at stride 8: junk, a field (x, y), two maps, background.

    It takes raw BGR, stretched; its only link runs downwards, from blue to red.
    """
    weights = np.zeros((7, 3, 1, 1), np.float32)
    weights[4, :, 0, 0] = np.array((1, -0.5, -0.5)) / 255  # blue, in BGR order
    weights[5, :, 0, 0] = np.array((-0.5, -0.5, 1)) / 255  # red
    weights[6] = 1  # background, loud
    bias = np.array([9, 9, 0, 1, 0, 0, 9], np.float32)  # channel 2 is x, channel 3 is y
    nodes = [mean_colour(8), helper.make_node("Conv", ["mean", "w", "b"], ["packed"])]
    save(folder / "net.onnx", nodes, {"w": weights, "b": bias}, {"packed": 7})
    write_yaml(
        folder / "topology.json",
        {"keypoints": ["top", "bottom"], "skeleton": [[1, 2]], "paf_channels": [[1, 0]]},
    )
    return write_card(
        folder,
        input={"size": [128, 128], "multiple": 8, "colour": "bgr", "resize": "stretch", "scale": 1},
        outputs={"cmap": tensor("packed", 4, 6), "paf": tensor("packed", 2, 4), "stride": 8},
        parser={"threshold": 0.3, "min_parts": 2},
    )


def test_a_packed_network_of_other_conventions_runs_end_to_end(tmp_path: Path) -> None:
    image = np.rot90(picture(256, 256, [(120, 150)]), 3).copy()  # now blue is above red
    x, y = 255 - 150, 120
    people = posert.Pose(packed_network(tmp_path))(image)
    assert people.keypoints.shape == (1, 2, 3)
    np.testing.assert_allclose(people.keypoints[0, 1, :2], (x, y), atol=2)
    np.testing.assert_allclose(people.keypoints[0, 0, :2], (x, y - 20), atol=2)


def test_nothing_is_found_where_the_link_runs_the_other_way(tmp_path: Path) -> None:
    image = np.rot90(picture(256, 256, [(120, 150)]), 1).copy()
    assert len(posert.Pose(packed_network(tmp_path))(image)) == 0
