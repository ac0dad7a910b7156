"""fp16 and INT8 networks: near the float32 one, and built as the engines that read them ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from making.networks import Weights, save
from onnx import helper, numpy_helper

from posert.building.pictures import shipped_pictures
from posert.config import shipped
from posert.engine_builder.card import find_card
from posert.engine_builder.precision import as_float16, to_fp16
from posert.engine_builder.quantise import Target, to_int8
from posert.errors import InputError, ModelError
from posert.runtime.preprocess import fit, normalise
from posert.types import Float32

Outputs = list[Float32]


@pytest.fixture(scope="module")
def pose_small() -> onnx.ModelProto:
    return onnx.load(str(shipped("models") / "pose-small" / "pose-small.onnx"))


@pytest.fixture(scope="module")
def pictures() -> list[Float32]:
    """Frames of the shipped clip as pose-small takes them, small."""
    card = find_card("pose-small")
    frames = [fit(p, card.input, 256, card.outputs.stride)[0] for p in shipped_pictures(4)]
    return [normalise(frame[None], card.input) for frame in frames]


@pytest.fixture(scope="module")
def int8(pose_small: onnx.ModelProto, pictures: list[Float32]) -> dict[str, onnx.ModelProto]:
    targets: tuple[Target, ...] = ("cpu", "tensorrt")
    return {target: to_int8(pose_small, pictures, target=target) for target in targets}


@pytest.fixture
def attention(tmp_path: Path) -> onnx.ModelProto:
    """Opset 13, as trt_pose's: ConvTranspose, sigmoid attention, nodes without names."""
    random = np.random.default_rng(3)
    weights: Weights = {
        "first": (random.standard_normal((8, 3, 3, 3)) / 5).astype(np.float32),
        "up": (random.standard_normal((8, 8, 4, 4)) / 11).astype(np.float32),
        "gate": (random.standard_normal((8, 8, 3, 3)) / 8).astype(np.float32),
        "cmap.w": random.standard_normal((18, 8, 1, 1)).astype(np.float32),
        "paf.w": random.standard_normal((42, 8, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["a"], pads=[1] * 4, strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "up"], ["c"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Conv", ["c", "gate"], ["d"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["d"], ["e"]),
        helper.make_node("Mul", ["c", "e"], ["f"]),
        helper.make_node("Conv", ["f", "cmap.w"], ["cmap"]),
        helper.make_node("Conv", ["f", "paf.w"], ["paf_before"]),
        helper.make_node("Tanh", ["paf_before"], ["paf"]),
    ]
    save(tmp_path / "net.onnx", nodes, weights, {"cmap": 18, "paf": 42})
    return onnx.load(str(tmp_path / "net.onnx"))


def run(network: onnx.ModelProto, picture: Float32) -> Outputs:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs: Outputs = session.run(None, {"input": picture})
    return outputs


def off(network: onnx.ModelProto, other: onnx.ModelProto, picture: Float32) -> float:
    """RMS of the difference over RMS, of the worst output."""
    pairs = zip(run(network, picture), run(other, picture), strict=True)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(a)) for a, b in pairs)


def nodes_of(network: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in network.graph.node if node.op_type == kind]


def constants(network: onnx.ModelProto) -> dict[str, np.ndarray[tuple[int, ...], np.dtype]]:
    return {w.name: numpy_helper.to_array(w) for w in network.graph.initializer}


def test_fp16_finds_what_fp32_finds_at_any_size(
    pose_small: onnx.ModelProto, pictures: list[Float32]
) -> None:
    half = to_fp16(pose_small)
    for picture in (pictures[0], pictures[1][..., :96, :160], pictures[2][..., :128, :96]):
        assert off(pose_small, half, picture) < 0.02
    assert all(o.dtype == np.float32 for o in run(half, pictures[0]))


def test_fp16_halves_the_weights(pose_small: onnx.ModelProto, attention: onnx.ModelProto) -> None:
    for network in (pose_small, attention):
        half = to_fp16(network)
        assert not [n for n, w in constants(half).items() if w.dtype == np.float32 and w.size > 8]
        assert half.ByteSize() < 0.55 * network.ByteSize()


def test_fp16_of_attention_and_of_quantised_networks(
    attention: onnx.ModelProto, pictures: list[Float32]
) -> None:
    assert off(attention, to_fp16(attention), pictures[0]) < 0.01
    quantised = to_int8(attention, pictures, target="tensorrt")
    assert off(attention, quantised, pictures[0]) < 0.15  # onnxruntime 1.18 rounds worse in fp16


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_the_network_given_stays_as_it_was(
    attention: onnx.ModelProto, pictures: list[Float32], target: Target
) -> None:
    before = attention.SerializeToString(deterministic=True)
    to_fp16(attention)
    to_int8(attention, pictures[:1], target=target)
    assert attention.SerializeToString(deterministic=True) == before


def test_no_weight_becomes_infinite_or_nothing() -> None:
    values = np.array([1e9, -1e9, 1e-12, -1e-12, 0, 0.5], np.float32)
    half = as_float16(values)
    assert np.isfinite(half).all()
    assert ((half != 0) == (values != 0)).all()
    assert (np.sign(half) == np.sign(values)).all()
    assert half[5] == 0.5


def test_sizes_are_computed_in_float32(tmp_path: Path, pictures: list[Float32]) -> None:
    """Old exporters enlarge by a factor that they compute in float; float16 has no 2,049."""
    weights: Weights = {
        "w": np.ones((18, 3, 1, 1), np.float32),
        "last": np.array(3, np.int64),
        "times": np.array([1025], np.float32),
        "three": np.array([1, 18, 1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"]),
        helper.make_node("Shape", ["a"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"]),
        helper.make_node("Cast", ["width"], ["wide"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "times"], ["wider"]),
        helper.make_node("Cast", ["wider"], ["size"], to=onnx.TensorProto.INT64),
        helper.make_node("Concat", ["three", "size"], ["sizes"], axis=0),
        helper.make_node("Resize", ["a", "", "", "sizes"], ["cmap"]),
    ]
    save(tmp_path / "net.onnx", nodes, weights, {"cmap": 18})
    half = to_fp16(onnx.load(str(tmp_path / "net.onnx")))
    (cmap,) = run(half, pictures[0][..., :1, :3])
    assert cmap.shape == (1, 18, 1, 3075)


def test_fp16_refuses_branches() -> None:
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    constant = helper.make_node("Constant", [], ["y"], value_float=1.0)
    branch = helper.make_graph([constant], "branch", [], [value])
    node = helper.make_node("If", ["c"], ["y"], "which", then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    graph = helper.make_graph([node], "made", [condition], [value])
    with pytest.raises(ModelError, match=r"If 'which'.*without branches"):
        to_fp16(helper.make_model(graph))


@pytest.mark.parametrize(("target", "limit"), [("cpu", 0.25), ("tensorrt", 0.35)])
def test_int8_is_near_fp32_at_any_size(
    pose_small: onnx.ModelProto,
    int8: dict[str, onnx.ModelProto],
    pictures: list[Float32],
    target: Target,
    limit: float,
) -> None:
    assert off(pose_small, int8[target], pictures[0]) < limit
    cmap, paf = run(int8[target], pictures[1][..., :128, :96])
    assert (cmap.shape, paf.shape) == ((1, 18, 32, 24), (1, 42, 32, 24))
    onnx.checker.check_model(int8[target], full_check=True)


def test_int8_weights_are_a_third_on_disk(
    pose_small: onnx.ModelProto, int8: dict[str, onnx.ModelProto]
) -> None:
    assert int8["cpu"].ByteSize() < pose_small.ByteSize() / 3


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_heads_and_convtranspose_are_not_quantised(
    attention: onnx.ModelProto, pictures: list[Float32], target: Target
) -> None:
    network = to_int8(attention, pictures, target=target)
    dequantised = {node.output[0] for node in nodes_of(network, "DequantizeLinear")}
    weights = {w.name: dims for w in network.graph.initializer if len(dims := tuple(w.dims)) == 4}
    by_weight = {weights[n.input[1]]: n for n in nodes_of(network, "Conv") if n.input[1] in weights}
    assert set(by_weight) == {(18, 8, 1, 1), (42, 8, 1, 1)}  # the heads read theirs as they are
    quantised = [n for n in nodes_of(network, "Conv") if n not in by_weight.values()]
    assert len(quantised) == 2
    assert all({n.input[0], n.input[1]} <= dequantised for n in quantised)
    (up,) = nodes_of(network, "ConvTranspose")
    assert up.input[1] in weights


def test_tensorrt_gets_no_zero_points_and_no_quantised_biases(
    int8: dict[str, onnx.ModelProto],
) -> None:
    network = int8["tensorrt"]
    values = constants(network)
    pairs = [*nodes_of(network, "QuantizeLinear"), *nodes_of(network, "DequantizeLinear")]
    assert pairs
    for node in pairs:
        assert values[node.input[1]].dtype == np.float16
        zero = values[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    depthwise = [n for n in nodes_of(network, "Conv") if any(a.i > 1 for a in n.attribute)]
    assert depthwise
    assert all(values[n.input[1]].dtype == np.float16 for n in depthwise)


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_each_output_channel_has_a_scale(int8: dict[str, onnx.ModelProto], target: Target) -> None:
    values = constants(int8[target])
    source = {n.output[0]: n for n in int8[target].graph.node}
    scales = [
        values[source[n.input[1]].input[1]]
        for n in nodes_of(int8[target], "Conv")
        if n.input[1] in source
    ]
    assert len(scales) > 20
    assert all(len(s) > 1 and (s > 0).all() for s in scales)


def test_weights_for_cpus_keep_7_bits(int8: dict[str, onnx.ModelProto]) -> None:
    weights = [w for w in constants(int8["cpu"]).values() if w.dtype == np.int8 and w.ndim == 4]
    assert max(int(np.abs(w.astype(int)).max()) for w in weights) == 64


def test_int8_comes_out_the_same_twice(attention: onnx.ModelProto, pictures: list[Float32]) -> None:
    one, other = (to_int8(attention, iter(pictures), target="cpu") for _ in range(2))
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def test_int8_without_pictures_is_refused(attention: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match="calibration: got 0 pictures, expected at least 1"):
        to_int8(attention, [], target="cpu")


def test_pictures_that_do_not_fit_are_refused_in_a_line(attention: onnx.ModelProto) -> None:
    with pytest.raises(ModelError, match="onnxruntime cannot quantise it") as refused:
        to_int8(attention, [np.zeros((1, 4, 8, 8), np.float32)], target="cpu")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("name", ["pose_small", "attention"])
def test_tensorrt_builds_it(
    request: pytest.FixtureRequest, pictures: list[Float32], precision: str, name: str
) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    network = request.getfixturevalue(name)
    make: dict[str, Callable[[], onnx.ModelProto]] = {
        "fp16": lambda: to_fp16(network),
        "int8": lambda: to_int8(network, pictures[:1], target="tensorrt"),
    }
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    definition = builder.create_network(0)
    parser = trt.OnnxParser(definition, log)
    parsed = parser.parse(make[precision]().SerializeToString())
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    options = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("input", (1, 3, 64, 64), (1, 3, 128, 128), (4, 3, 256, 256))
    options.add_optimization_profile(profile)
    assert builder.build_serialized_network(definition, options) is not None
