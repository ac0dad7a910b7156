"""Tiny networks whose answer to a picture is known, with their cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from posert.config import shipped

Weights = dict[str, npt.NDArray[Any]]

STRIDE = 4
_OPSET, _IR = 13, 8  # old enough for every onnxruntime that pyproject.toml allows

# Of red, green and blue: what makes a nose, and what makes a neck.
NOSE, NECK = (1.0, -0.5, -0.5), (-0.5, -0.5, 1.0)


def dots_network(folder: Path, **changes: Any) -> Path:
    """The network that finds the people of ``making.pictures``; returns its folder.

    18 keypoints as pose-small has them, of which it knows the nose (0) and the neck (17). All
    its part affinity fields point to the right. ``changes`` are merged into its card.
    """
    colours = np.zeros((18, 3), np.float32)
    colours[0], colours[17] = NOSE, NECK
    fields = np.zeros(42, np.float32)
    fields[1::2] = 1  # x components
    nodes = [
        mean_colour(),
        helper.make_node("Conv", ["mean", "colours"], ["cmap"]),
        helper.make_node("Conv", ["mean", "nothing", "fields"], ["paf"]),
    ]
    weights: Weights = {
        "colours": colours[:, :, None, None],
        "nothing": np.zeros((42, 3, 1, 1), np.float32),
        "fields": fields,
    }
    save(folder / "net.onnx", nodes, weights, {"cmap": 18, "paf": 42})
    topology = shipped("models") / "pose-small" / "topology.json"
    (folder / "topology.json").write_text(topology.read_text(encoding="utf-8"), encoding="utf-8")
    return write_card(folder, **changes)


def echo_network(folder: Path, **changes: Any) -> Path:
    """A network that returns its own input: channel c of cmap is channel c's mean of each cell."""
    nodes = [
        mean_colour(),
        helper.make_node("Identity", ["mean"], ["cmap"]),
        helper.make_node("Conv", ["mean", "nothing"], ["paf"]),
    ]
    weights: Weights = {"nothing": np.zeros((4, 3, 1, 1), np.float32)}
    save(folder / "net.onnx", nodes, weights, {"cmap": 3, "paf": 4})
    write_yaml(
        folder / "topology.json", {"keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}
    )
    outputs = {"cmap": tensor("cmap", 0, 3), "paf": tensor("paf", 0, 4), "stride": STRIDE}
    return write_card(folder, **{"outputs": outputs, **changes})


def write_card(folder: Path, **changes: Any) -> Path:
    """A card of what is in ``folder``, ``changes`` merged into it; returns the folder."""
    card: dict[str, Any] = {
        "name": "made",
        "title": "made by a test",
        "onnx": "net.onnx",
        "topology": "topology.json",
        "input": {
            "name": "input", "size": 64, "multiple": 4, "colour": "rgb", "resize": "letterbox",
            "fill": 0,
        },
        "outputs": {
            "cmap": tensor("cmap", 0, 18), "paf": tensor("paf", 0, 42), "stride": STRIDE,
        },
        "parser": {"threshold": 0.4, "min_parts": 2, "min_score": 0.0},
        "trt_pose_parser": {"threshold": 0.4, "min_parts": 2, "min_score": 0.0},
        "licence": "none",
        "training_data": "none",
        "source": {"url": "https://example.com/net"},
    }  # fmt: skip
    write_yaml(folder / "card.yaml", merged(card, changes))
    return folder


def merged(card: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``card`` with ``changes``, nested mappings key by key; a key changed to None is left out."""
    result = dict(card)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(card.get(key), dict)
        result[key] = merged(card[key], value) if nested else value
    return {key: value for key, value in result.items() if value is not None}


def tensor(name: str, first: int, end: int) -> dict[str, Any]:
    """A card's description of an output tensor."""
    return {"name": name, "channels": [first, end]}


def write_yaml(path: Path, data: dict[str, Any]) -> None:
    """Writes YAML, or JSON where the name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data) if path.suffix == ".json" else yaml.safe_dump(data), "utf-8")


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Weights,
    outputs: dict[str, int],
    input_shape: tuple[int | str, ...] = ("n", 3, "h", "w"),
) -> None:
    """Writes an ONNX with the one input ``input`` and ``outputs`` of so many channels."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(input_shape))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, "y", "x"])
            for name, count in outputs.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def mean_colour(stride: int = STRIDE) -> onnx.NodeProto:
    """``mean`` (N, 3, H / stride, W / stride): the mean of each cell of the input."""
    sides = [stride, stride]
    return helper.make_node("AveragePool", ["input"], ["mean"], kernel_shape=sides, strides=sides)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
