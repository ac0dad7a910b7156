"""An ONNX that is damaged, or that contradicts its card, is refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making.command import Command
from making.networks import dots_network, mean_colour, save, tensor
from onnx import helper

import posert
from posert.errors import ConfigError, ModelError


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_onnx_is_refused(tmp_path: Path, share: float) -> None:
    onnx = dots_network(tmp_path) / "net.onnx"
    data = onnx.read_bytes()
    onnx.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"net\.onnx: not a complete ONNX file") as caught:
        posert.Pose(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"This is no network.\n" * 50, bytes(1000), b"\x89PNG\r\n"])
def test_another_file_named_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (dots_network(tmp_path) / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        posert.Pose(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"name": "image"}}, r"input: card 'image', ONNX \['input'\]"),
        (
            {"outputs": {"cmap": tensor("heat", 0, 18)}},
            r"output: card 'heat', ONNX \['cmap', 'paf'\]",
        ),
        ({"outputs": {"paf": tensor("paf", 0, 44)}}, "card up to channel 44, ONNX 42"),
        ({"outputs": {"cmap": tensor("cmap", 0, 17)}}, "cmap channels: card 17, topology 18"),
        ({"outputs": {"paf": tensor("paf", 0, 40)}}, "paf channels: card 40, topology 42"),
        ({"outputs": {"cmap": tensor("cmap", 1, 19)}}, "card up to channel 19, ONNX 18"),
    ],
    ids=str,
)
def test_a_card_that_differs_is_refused_with_the_difference(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        posert.Pose(dots_network(tmp_path, **changes))
    assert "contradicts its card" in str(caught.value)


def test_every_difference_is_told_at_once(tmp_path: Path) -> None:
    changes = {"input": {"name": "image"}, "outputs": {"cmap": tensor("heat", 0, 18)}}
    with pytest.raises(ModelError) as caught:
        posert.Pose(dots_network(tmp_path, **changes))
    assert "'image'" in str(caught.value)
    assert "'heat'" in str(caught.value)


def fixed_network(folder: Path, height: int, width: int, **changes: Any) -> Path:
    """The dots' card over a network of one input size; its maps are zero."""
    dots_network(folder, **changes)
    weights: dict[str, Any] = {
        "c": np.zeros((18, 3, 1, 1), np.float32), "p": np.zeros((42, 3, 1, 1), np.float32),
    }  # fmt: skip
    nodes = [
        mean_colour(),
        helper.make_node("Conv", ["mean", "c"], ["cmap"]),
        helper.make_node("Conv", ["mean", "p"], ["paf"]),
    ]
    save(folder / "net.onnx", nodes, weights, {"cmap": 18, "paf": 42}, (1, 3, height, width))
    return folder


def test_a_network_of_fixed_size_behind_a_card_of_any_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"card any size, ONNX 1 x 3 x 64 x 96"):
        posert.Pose(fixed_network(tmp_path, 64, 96))


def test_a_network_of_another_fixed_size_is_refused(tmp_path: Path) -> None:
    changes = {"input": {"size": [64, 64], "fixed": True}}
    with pytest.raises(ModelError, match=r"card 64 x 64, ONNX 1 x 3 x 64 x 96"):
        posert.Pose(fixed_network(tmp_path, 64, 96, **changes))


def test_a_fixed_network_runs_at_its_size_and_no_other(tmp_path: Path) -> None:
    changes = {"input": {"size": [64, 96], "fixed": True}}
    folder = fixed_network(tmp_path, 64, 96, **changes)
    for size in ((480, 640), (50, 300), (300, 50)):
        assert len(posert.Pose(folder)(np.zeros((*size, 3), np.uint8))) == 0
    with pytest.raises(
        ConfigError, match=r"input size: got 128, expected \(64, 96\), the only one"
    ):
        posert.Pose(folder, input_size=128)


def test_a_wrong_stride_is_refused_when_it_shows(tmp_path: Path) -> None:
    pose = posert.Pose(dots_network(tmp_path, outputs={"stride": 8}))
    with pytest.raises(ModelError, match="output 'cmap' contradicts the card"):
        pose(np.zeros((64, 64, 3), np.uint8))


def test_an_operator_that_onnxruntime_lacks_is_told_in_one_line(tmp_path: Path) -> None:
    folder = dots_network(tmp_path)
    nodes = [
        helper.make_node("Dance", ["input"], ["cmap"], domain="com.example"),
        helper.make_node("Dance", ["input"], ["paf"], domain="com.example"),
    ]
    save(folder / "net.onnx", nodes, {}, {"cmap": 18, "paf": 42})
    with pytest.raises(ModelError) as caught:
        posert.Pose(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["trunc", "trt-pose-resnet18-224", "pose-smal"])
def test_the_command_refuses_a_bad_model_before_any_output(
    posert: Command, tmp_path: Path, walk: Path, model: str
) -> None:
    if model == "trunc":
        onnx = dots_network(tmp_path / "trunc") / "net.onnx"
        onnx.write_bytes(onnx.read_bytes()[:500])
        model = str(onnx.parent)
    outcome = posert("run", walk, "--model", model, "-o", tmp_path / "out.mp4")
    assert outcome.code == ModelError.exit_code
    assert outcome.refusal()
    assert not (tmp_path / "out.mp4").exists()
