"""Engines of the zoo from TensorRT-RTX's real parser and builder, which need no GPU."""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from making.networks import mean_colour, save
from making.zoo import ZOO, zoo_model
from onnx import helper

from posert.config import shipped
from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact
from posert.engine_builder.onnx_check import check_onnx, fixed_batch
from posert.engine_builder.precision import to_fp16
from posert.engine_builder.quantise import to_int8
from posert.engine_builder.tensorrt import BuildOptions, TensorRT, build_serialized, load_tensorrt
from posert.errors import EngineError, ModelError
from posert.manifest import Precision, Profile
from posert.model_card import ModelCard

POSE_SMALL = shipped("models") / "pose-small" / "pose-small.onnx"
ANY_SIZE = Profile(batch=(1, 4, 16), height=(224, 256, 512), width=(224, 384, 512))
DEFAULT = BuildOptions()
Zoo = Callable[[str], ModelCard]
TARGETS = ("8.6", "8.9", "12.0")


@pytest.fixture(scope="session")
def rtx() -> TensorRT:
    try:
        return load_tensorrt("tensorrt-rtx")
    except EngineError as e:
        if os.environ.get("POSERT_REQUIRE_RTX") == "1":
            pytest.fail(f"POSERT_REQUIRE_RTX promises TensorRT-RTX: {e}")
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """The card of a model of the zoo by its name, its ONNX beside it."""
    folder = tmp_path_factory.mktemp("zoo")
    return functools.cache(lambda name: find_card(str(zoo_model(name, folder))))


@pytest.fixture(scope="session")
def networks(zoo: Zoo) -> Callable[[str, Precision], onnx.ModelProto]:
    """The network of a model in a precision."""

    @functools.cache
    def network(name: str, precision: Precision) -> onnx.ModelProto:
        card = zoo(name)
        exported = onnx.load(str(card.onnx_path))
        if precision == "fp16":
            return to_fp16(exported)
        if precision == "int8":
            shape = (1, 3, profile_of(card).height[0], profile_of(card).width[0])
            picture = np.random.default_rng(0).standard_normal(shape, np.float32)
            return to_int8(exported, [picture], target="tensorrt")
        return exported

    return network


def profile_of(card: ModelCard) -> Profile:
    """All sizes where the card leaves them free."""
    if not isinstance(card.input.size, tuple):
        return ANY_SIZE
    height, width = card.input.size
    only = fixed_batch(card, card.onnx_path)
    return Profile((only,) * 3 if only else (1, 4, 16), (height,) * 3, (width,) * 3)


@pytest.mark.parametrize("name", ZOO)
def test_the_made_networks_are_those_of_their_cards(zoo: Zoo, name: str) -> None:
    card = zoo(name)
    check_onnx(card, read_topology(card.topology_path))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("form", ["maps", "compact"])
@pytest.mark.parametrize("name", ["pose-small", *ZOO])
def test_every_model_builds(
    rtx: TensorRT,
    zoo: Zoo,
    networks: Callable[[str, Precision], onnx.ModelProto],
    name: str,
    form: str,
    precision: Precision,
) -> None:
    card = zoo(name)
    network = networks(name, precision)
    if form == "compact":
        network = compact(network, card, read_topology(card.topology_path), card.parser)
    options = BuildOptions(precision, targets=TARGETS)
    engine = build_serialized(rtx, network.SerializeToString(), profile_of(card), options)
    for output in network.graph.output:
        assert output.name.encode() in engine


def test_fp16_halves_the_weights_of_an_engine(
    rtx: TensorRT, zoo: Zoo, networks: Callable[[str, Precision], onnx.ModelProto]
) -> None:
    name = "trt-pose-resnet18-224"
    data = [networks(name, precision).SerializeToString() for precision in ("fp32", "fp16")]
    full, half = (build_serialized(rtx, d, profile_of(zoo(name)), DEFAULT) for d in data)
    assert 0.48 < len(half) / len(full) < 0.55


def test_a_fixed_size_and_batch_build(rtx: TensorRT, zoo: Zoo) -> None:
    card = zoo("pose-small")
    topology = read_topology(card.topology_path)
    network = compact(onnx.load(str(POSE_SMALL)), card, topology, card.parser, size=(224, 384))
    data = network.SerializeToString()
    one = Profile((1, 1, 1), (224,) * 3, (384,) * 3)
    assert b"link_scores" in build_serialized(rtx, data, one, DEFAULT)
    with pytest.raises(ModelError, match=r"got any x 224 x 384 x 3, expected 1 x 224 x 224 x 3 to"):
        build_serialized(rtx, data, ANY_SIZE, DEFAULT)


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(targets=("7.5",)),
        BuildOptions(targets=("8.0", "12.1", "8.0")),
        BuildOptions("fp16"),  # of a float32 ONNX: the line reads the precision from the ONNX
    ],
    ids=str,
)
def test_options_that_the_real_builder_takes(rtx: TensorRT, options: BuildOptions) -> None:
    assert len(build_serialized(rtx, POSE_SMALL, ANY_SIZE, options)) > 4 * 1_690_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BuildOptions(targets=("9.0",)), r"got 9\.0, expected some of .*8\.6, 8\.9, 12\.0"),
        (BuildOptions(targets=("8.6", "sm_89")), "got sm_89, expected"),
    ],
    ids=str,
)
def test_options_that_it_refuses(rtx: TensorRT, options: BuildOptions, message: str) -> None:
    with pytest.raises(EngineError, match=f"TensorRT-RTX .*{message}") as caught:
        build_serialized(rtx, POSE_SMALL, ANY_SIZE, options)
    assert "\n" not in str(caught.value)


def test_progress_rises_to_one(rtx: TensorRT) -> None:
    seen: list[float] = []
    build_serialized(
        rtx, POSE_SMALL, ANY_SIZE, DEFAULT, progress=lambda phase, done: seen.append(done)
    )
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)
    assert len(set(seen)) > 20


def test_ctrl_c_ends_a_build(rtx: TensorRT) -> None:
    seen: list[float] = []

    def interrupt_midway(phase: str, done: float) -> None:
        seen.append(done)
        if done > 0.5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_serialized(rtx, POSE_SMALL, ANY_SIZE, DEFAULT, progress=interrupt_midway)
    assert seen[-1] < 1


STALLING = """
import gc, sys
from pathlib import Path
from posert.engine_builder.tensorrt import BuildOptions, build_serialized, load_tensorrt
from posert.engine_builder.tensorrt.watch import BuildWatch
from posert.manifest import Profile

trt = load_tensorrt("tensorrt-rtx")
said = BuildWatch.said
def collecting(*heard):
    if gc.isenabled():
        gc.collect()  # as it may happen at any allocation
    said(*heard)
BuildWatch.said = collecting
gc.disable()
class Other(trt.module.ILogger):
    def log(self, severity, message): pass
garbage = [trt.module.Builder(Other())]
garbage.append(garbage)
del garbage
gc.enable()
profile = Profile((1, 1, 1), (256, 256, 256), (384, 384, 384))
print(len(build_serialized(trt, Path(sys.argv[1]), profile, BuildOptions())))
"""


def test_garbage_of_another_builder_does_not_stall_a_build(rtx: TensorRT) -> None:
    command = [sys.executable, "-c", STALLING, str(POSE_SMALL)]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 4 * 1_690_000


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_timing_cache_is_left_alone_where_nothing_is_timed(
    rtx: TensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = tmp_path / "timing.cache"
    if content is not None:
        path.write_bytes(content)
    assert build_serialized(rtx, POSE_SMALL, ANY_SIZE, DEFAULT, timing_cache=path)
    assert (path.read_bytes() if path.exists() else None) == content
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


WHOLE = POSE_SMALL.read_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ONNX of a network"),
        (b"hello, this is no network", "not a complete ONNX file"),
        (bytes(1000), "not a complete ONNX file"),
        (WHOLE[: len(WHOLE) // 2], "not a complete ONNX file"),
        (WHOLE[:-1], "not a complete ONNX file"),
    ],
    ids=["empty", "text", "zeros", "half", "last byte"],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_what_is_no_whole_onnx_is_refused(
    rtx: TensorRT, tmp_path: Path, data: bytes, message: str, as_file: bool
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=rf"(net|the ONNX).*: {message}"):
        build_serialized(rtx, path if as_file else data, ANY_SIZE, DEFAULT)


def test_an_absent_file_is_refused(rtx: TensorRT, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nope\.onnx: is not there"):
        build_serialized(rtx, tmp_path / "nope.onnx", ANY_SIZE, DEFAULT)


def test_operators_it_lacks_are_named_with_their_nodes(
    rtx: TensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [
        mean_colour(),
        helper.make_node("Det", ["mean"], ["det"], name="the_det"),
        helper.make_node("Frob", ["mean"], ["cmap"], name="frobnicate", domain="my.ops"),
    ]
    save(tmp_path / "net.onnx", nodes, {}, {"cmap": 3})
    model = onnx.load(str(tmp_path / "net.onnx"))
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    with pytest.raises(EngineError) as caught:
        build_serialized(rtx, model.SerializeToString(), ANY_SIZE, DEFAULT)
    line = str(caught.value)
    assert "does not support Det (node 'the_det'), Frob (node 'frobnicate'); " in line
    assert "\n" not in line
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]  # it is said once


def test_weights_beside_the_onnx_are_found_and_missed(rtx: TensorRT, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(
        onnx.load(str(POSE_SMALL)),
        str(path),
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    assert len(build_serialized(rtx, path, ANY_SIZE, DEFAULT)) > 4 * 1_690_000
    with pytest.raises(ModelError, match=r"the ONNX: its weights .* got no net\.data"):
        build_serialized(rtx, path.read_bytes(), ANY_SIZE, DEFAULT)
    os.truncate(tmp_path / "net.data", 1000)
    with pytest.raises(EngineError, match=r"weights offset/length out of range .*net\.data"):
        build_serialized(rtx, path, ANY_SIZE, DEFAULT)
    (tmp_path / "net.data").unlink()
    with pytest.raises(ModelError, match=r"net\.onnx: its weights .* no net\.data beside it"):
        build_serialized(rtx, path, ANY_SIZE, DEFAULT)


def test_a_network_of_two_inputs_is_refused(rtx: TensorRT) -> None:
    inputs = [helper.make_tensor_value_info(n, 1, ["n", 3, "h", "w"]) for n in ("a", "b")]
    outputs = [helper.make_tensor_value_info("c", 1, ["n", 3, "h", "w"])]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ModelError, match=r"inputs: got \['a', 'b'\], expected one"):
        build_serialized(rtx, model.SerializeToString(), ANY_SIZE, DEFAULT)
