"""Plans and engines of small networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from making.networks import dots_network
from onnx import helper, numpy_helper

from posert.building.build import provide
from posert.building.plan import Plan, make_plan
from posert.engine_builder.card import find_card, read_topology
from posert.gpu import Device
from posert.manifest import Backend, EngineFile
from posert.settings import BuildSettings, RunSettings

L4 = Device("NVIDIA L4", "8.9", 13)
DEFAULT = BuildSettings()


def plan_of(
    folder: Path,
    backend: Backend = "onnxruntime",
    build: BuildSettings = DEFAULT,
    **settings: Any,
) -> Plan:
    """The plan for the model in ``folder``."""
    card = find_card(str(folder))
    topology = read_topology(card.topology_path)
    return make_plan(card, topology, backend, RunSettings(**settings), build)


def provided(folder: Path, build: BuildSettings = DEFAULT, **settings: Any) -> EngineFile:
    """The CPU's engine of the model in ``folder``."""
    return provide(plan_of(folder, build=build, **settings), build)


def engines_in(cache: Path) -> list[Path]:
    """The engines and manifests of a cache."""
    return sorted(p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


def builds(caplog: pytest.LogCaptureFixture) -> int:
    """How many engines were built so far, by what was said."""
    return sum(record.message.startswith("building ") for record in caplog.records)


def changed_weights(network: Path, factor: float) -> None:
    """Multiplies the weights of the dots network's confidence maps."""
    model = onnx.load(str(network))
    (weights,) = (w for w in model.graph.initializer if w.name == "colours")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * factor, "colours"))
    onnx.save(model, str(network))


def fragile_network(folder: Path) -> Path:
    """The dots network by way of numbers that float16 does not have."""
    dots_network(folder)
    changed_weights(folder / "net.onnx", 1e8)
    model = onnx.load(str(folder / "net.onnx"))
    (maps,) = (node for node in model.graph.node if node.output[0] == "cmap")
    maps.output[0] = "large"
    model.graph.node.append(helper.make_node("Mul", ["large", "small"], ["cmap"]))
    scale = helper.make_tensor("small", onnx.TensorProto.FLOAT, [], [1e-8])
    model.graph.initializer.append(scale)
    onnx.save(model, str(folder / "net.onnx"))
    return folder


def unknown_operator(network: Path) -> None:
    """Puts an operator of somebody's own before the dots network's confidence maps."""
    model = onnx.load(str(network))
    (maps,) = (node for node in model.graph.node if node.output[0] == "cmap")
    maps.output[0] = "plain"
    magic = helper.make_node("Magic", ["plain"], ["cmap"], domain="acme")
    model.graph.node.append(magic)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    onnx.save(model, str(network))


def fixed_batch_network(folder: Path, batch: int) -> Path:
    """The dots network for so many pictures a call and no others."""
    dots_network(folder)
    model = onnx.load(str(folder / "net.onnx"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, str(folder / "net.onnx"))
    return folder


def network_of_functions(folder: Path) -> Path:
    """The dots network with its confidence maps behind a function of its own."""
    dots_network(folder)
    unknown_operator(folder / "net.onnx")
    model = onnx.load(str(folder / "net.onnx"))
    magic = helper.make_function(
        "acme",
        "Magic",
        ["x"],
        ["y"],
        [helper.make_node("Relu", ["x"], ["y"])],
        [helper.make_opsetid("", 13)],
    )
    model.functions.append(magic)
    onnx.save(model, str(folder / "net.onnx"))
    return folder
