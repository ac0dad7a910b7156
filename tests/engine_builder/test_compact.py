"""The compact form: pictures in, and the same people out as the maps form finds in them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime
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
from making.pictures import noses, picture
from onnx import helper

from posert.config import shipped
from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact, opset_of, parse_graph, peaks_limit
from posert.engine_builder.graph import OPSET
from posert.errors import ModelError
from posert.model_card import ModelCard
from posert.postprocess import ParserSettings
from posert.postprocess.parser import parse
from posert.postprocess.tensors import parse_tensors
from posert.postprocess.topology import Topology
from posert.runtime.preprocess import fit, normalise
from posert.types import Images, People, PoseMaps, PoseTensors

CELL_TOLERANCE = 0.05  # cells: what two forms of one network may differ by
PIXELS = (256, 384)

Network = tuple[onnx.ModelProto, ModelCard, Topology]


def load(model: str | Path) -> Network:
    card = find_card(str(model))
    return onnx.load(str(card.onnx_path)), card, read_topology(card.topology_path)


@pytest.fixture(scope="module")
def small() -> Network:
    return load("pose-small")


@pytest.fixture(scope="module")
def frames() -> Images:
    """Three frames of the demo clip at pose-small's size."""
    card = find_card("pose-small")
    with av.open(str(shipped("demo") / "walkers.mp4")) as container:
        decoded = islice(container.decode(video=0), 0, 60, 25)
        images = [np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in decoded]
    fitted = [fit(image, card.input, PIXELS, card.outputs.stride)[0] for image in images]
    return np.stack(fitted)


def outputs(model: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, Any]:
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def tensors(model: onnx.ModelProto, frames: Images) -> list[PoseTensors]:
    found = outputs(model, {"frames": frames})
    counts = found["counts"].astype(np.int64)
    return [
        PoseTensors(*each)
        for each in zip(found["peaks"], counts, found["link_scores"], strict=True)
    ]


def maps(network: Network, frames: Images) -> list[PoseMaps]:
    model, card, _ = network
    found = outputs(model, {card.input.name: normalise(frames, card.input)})
    cmap, paf = (
        found[part.name][:, slice(*part.channels)] for part in (card.outputs.cmap, card.outputs.paf)
    )
    return [PoseMaps(*each) for each in zip(cmap, paf, strict=True)]


def assert_same(found: People, wanted: People) -> None:
    assert found.keypoints.shape == wanted.keypoints.shape
    np.testing.assert_allclose(found.keypoints, wanted.keypoints, rtol=0, atol=CELL_TOLERANCE)
    assert found.capped == wanted.capped


def people_of(
    network: Network,
    frames: Images,
    settings: ParserSettings | None = None,
    size: tuple[int, int] | None = None,
) -> list[People]:
    """The people of the compact form, which are held against those of the maps form."""
    model, card, topology = network
    settings = settings or replace(card.parser, max_peaks=24)
    found = [
        parse_tensors(each, topology, settings)
        for each in tensors(compact(model, card, topology, settings, size=size), frames)
    ]
    for people, each in zip(found, maps(network, frames), strict=True):
        assert_same(people, parse(each.cmap, each.paf, topology, settings))
    return found


@pytest.mark.parametrize("parser", ["parser", "trt_pose_parser"])
@pytest.mark.parametrize("size", [None, PIXELS], ids=["any size", "one size"])
def test_pose_small_finds_the_same_people_in_either_form(
    small: Network, frames: Images, size: tuple[int, int] | None, parser: str
) -> None:
    settings = replace(getattr(small[1], parser), max_peaks=24)
    people = people_of(small, frames, settings, size)
    assert all(len(each) >= 3 for each in people)


def test_a_batch_of_pictures_equals_them_one_by_one(small: Network, frames: Images) -> None:
    model, card, topology = small
    built = compact(model, card, topology, replace(card.parser, max_peaks=24))
    for number, together in enumerate(tensors(built, frames)):
        (alone,) = tensors(built, frames[number : number + 1])
        np.testing.assert_array_equal(together.counts, alone.counts)
        np.testing.assert_allclose(together.peaks, alone.peaks, atol=1e-3)
        np.testing.assert_allclose(together.link_scores, alone.link_scores, atol=1e-3)


def test_a_graph_of_any_size_takes_pictures_of_another(small: Network, frames: Images) -> None:
    assert people_of(small, np.ascontiguousarray(frames[:1, :224, :320]))


def test_people_are_where_the_picture_has_them(dots: Path) -> None:
    truth = [(49.5, 29.5), (73.5, 45.5)]
    (people,) = people_of(load(dots), picture(96, 64, truth)[None])
    np.testing.assert_allclose((np.array(noses(people)) * 4 - 0.5), truth, atol=0.1)


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize(
    "values", [{"scale": 1.0}, {"mean": [0.1, 0.2, 0.3], "std": [0.2, 0.3, 0.4]}]
)
def test_pixels_reach_the_network_as_its_card_says(
    tmp_path: Path, colour: str, values: dict[str, Any]
) -> None:
    echo = load(echo_network(tmp_path, input={"colour": colour, **values}))
    image = np.zeros((32, 48, 3), np.uint8)
    image[8:12, 20:24] = (90, 200, 250)
    settings = ParserSettings(threshold=0.1, max_peaks=4, reference=False)
    (found,) = tensors(compact(*echo, settings), image[None])
    (wanted,) = maps(echo, image[None])
    np.testing.assert_allclose(found.peaks[:, 0, 2], wanted.cmap[:, 2, 5], rtol=1e-6)
    assert len(set(found.peaks[:, 0, 2].tolist())) == 3


def test_maps_may_be_slices_of_one_output(tmp_path: Path) -> None:
    """The dots network with its fields before its confidence maps in one tensor."""
    folder = dots_network(tmp_path / "dots")
    model = onnx.load(str(folder / "net.onnx"))
    joined = helper.make_node("Concat", ["paf", "cmap"], ["all"], axis=1)
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    save(folder / "net.onnx", [*model.graph.node, joined], weights, {"all": 60})
    both = {"cmap": tensor("all", 42, 60), "paf": tensor("all", 0, 42)}
    write_card(folder, outputs=both)
    (people,) = people_of(load(folder), picture()[None])
    assert len(people) == 1


def made(folder: Path, shape: tuple[int | str, ...], stride: int = 4) -> Network:
    """An echo network of an input ``shape``, whose card says ``stride``."""
    model, card, topology = load(echo_network(folder))
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    save(card.onnx_path, list(model.graph.node), weights, {"cmap": 3, "paf": 4}, shape)
    card = replace(card, outputs=replace(card.outputs, stride=stride))
    return onnx.load(str(card.onnx_path)), card, topology


def shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    return {
        value.name: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }


def test_names_and_shapes(tmp_path: Path) -> None:
    free, settings = made(tmp_path, ("n", 3, "h", "w")), ParserSettings(max_peaks=6)
    wanted: dict[str, list[int | str]] = {
        "frames": ["n", "h", "w", 3],
        "peaks": ["n", 3, 6, 3],
        "counts": ["n", 3],
        "link_scores": ["n", 2, 6, 6],
    }
    assert shapes(compact(*free, settings)) == wanted
    fixed = {**wanted, "frames": ["n", 48, 64, 3]}
    assert shapes(compact(*free, settings, size=(48, 64))) == fixed
    of_one_size = made(tmp_path, ("n", 3, 48, 64))
    assert shapes(compact(*of_one_size, settings)) == fixed
    of_two_pictures = made(tmp_path, (2, 3, 48, 64))
    assert shapes(compact(*of_two_pictures, settings))["link_scores"] == [2, 2, 6, 6]


@pytest.mark.parametrize("size", [None, PIXELS], ids=["any size", "one size"])
@pytest.mark.parametrize("parser", ["parser", "trt_pose_parser"])
def test_the_model_is_standard_onnx(
    small: Network, size: tuple[int, int] | None, parser: str
) -> None:
    model, card, topology = small
    before = model.SerializeToString(deterministic=True)
    built = compact(model, card, topology, getattr(card, parser), size=size)
    assert model.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(built, full_check=True)
    assert {node.domain for node in built.graph.node} == {""}
    assert opset_of(built) == opset_of(model) == OPSET
    operators = {node.op_type for node in built.graph.node}
    assert ("Shape" in operators) == (size is None)
    assert "Range" not in operators or size is None
    assert all(node.name for node in built.graph.node)


def test_an_older_network_is_brought_up_to_date(dots: Path) -> None:
    network = load(dots)
    assert opset_of(network[0]) < OPSET
    assert opset_of(compact(*network, network[1].parser)) == OPSET


def test_a_newer_network_keeps_its_opset(dots: Path) -> None:
    model, card, topology = load(dots)
    newer = onnx.version_converter.convert_version(model, 19)
    assert opset_of(compact(newer, card, topology, card.parser)) == 19
    people_of((newer, card, topology), picture()[None])


def test_names_of_the_network_do_not_get_in_the_way(tmp_path: Path) -> None:
    """A network that calls its own tensors what the compact form calls its."""
    nodes = [
        helper.make_node("Identity", ["input"], ["frames"]),
        mean_colour(),
        helper.make_node("Identity", ["mean"], ["peaks"]),
        helper.make_node("Conv", ["mean", "constant_0"], ["counts"]),
    ]
    weights = {"constant_0": np.zeros((4, 3, 1, 1), np.float32)}
    save(tmp_path / "net.onnx", nodes, weights, {"peaks": 3, "counts": 4})
    write_yaml(
        tmp_path / "topology.json", {"keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}
    )
    names = {"cmap": tensor("peaks", 0, 3), "paf": tensor("counts", 0, 4)}
    network = load(write_card(tmp_path, outputs=names))
    (found,) = tensors(compact(*network, ParserSettings(max_peaks=8)), picture()[None])
    assert found.counts.tolist()[0] == 1


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    settings = ParserSettings()
    with pytest.raises(ModelError, match=r"size: got \(64, 64\), expected \['n', 3, 48, 64\]"):
        compact(*made(tmp_path, ("n", 3, 48, 64)), settings, size=(64, 64))
    with pytest.raises(ModelError, match="output 'cmap' contradicts the card: got 12 x 16 cells"):
        compact(*made(tmp_path, ("n", 3, "h", "w"), stride=8), settings, size=(48, 64))


def test_networks_that_are_not_the_card_s_are_refused(dots: Path) -> None:
    model, card, topology = load(dots)
    other_input = replace(card, input=replace(card.input, name="image"))
    with pytest.raises(ModelError, match="no input 'image'"):
        compact(model, other_input, topology, card.parser)
    part = replace(card.outputs.cmap, name="heat")
    other_output = replace(card, outputs=replace(card.outputs, cmap=part))
    with pytest.raises(ModelError, match="no output 'heat': got"):
        compact(model, other_output, topology, card.parser)


def test_sparse_weights_are_refused(dots: Path) -> None:
    network, card, topology = load(dots)
    values = helper.make_tensor("sparse", onnx.TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", onnx.TensorProto.INT64, [1], [0])
    network.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    with pytest.raises(ModelError, match="the network has sparse weights; export it without"):
        compact(network, card, topology, card.parser)


def test_a_topology_without_links_is_refused() -> None:
    with pytest.raises(ModelError, match="'dot' has no links to score; use the maps form"):
        parse_graph(Topology("dot", ("dot",), (), ()), ParserSettings())


@pytest.mark.parametrize(
    ("cells", "most", "wanted"),
    [((56, 56), 100, 24), ((64, 96), 100, 40), ((64, 96), 20, 20), ((8, 8), 100, 16)],
)
def test_peaks_that_a_tenth_of_the_maps_has_room_for(
    small: Network, cells: tuple[int, int], most: int, wanted: int
) -> None:
    settings = ParserSettings(max_peaks=most)
    assert peaks_limit(small[2], settings, cells) == wanted


def tensorrt_engine(trt: Any, model: onnx.ModelProto, shapes: Sequence[tuple[int, ...]]) -> int:
    """Bytes of the engine that TensorRT builds; what it complains of is an assertion's message."""
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network()
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse(model.SerializeToString())
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("frames", *shapes)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    return int(engine.nbytes)


@pytest.mark.parametrize("size", [None, PIXELS], ids=["any size", "one size"])
@pytest.mark.parametrize("parser", ["parser", "trt_pose_parser"])
def test_tensorrt_builds_it(small: Network, size: tuple[int, int] | None, parser: str) -> None:
    pytest.importorskip("tensorrt_rtx")
    trt = importlib.import_module("tensorrt_rtx")
    model, card, topology = small
    settings = replace(getattr(card, parser), max_peaks=40)
    built = compact(model, card, topology, settings, size=size)
    least, most = (PIXELS, PIXELS) if size else ((64, 64), (512, 512))
    shapes = [(1, *least, 3), (8, *PIXELS, 3), (32, *most, 3)]
    assert tensorrt_engine(trt, built, shapes) > 1_000_000
