"""The compact form of a network: from pictures to peaks and link scores in one ONNX graph.

``posert.postprocess`` is the specification; the graph says the same of a batch of pictures, up to
the rounding of float32, so that ``parse_tensors`` finds the same people. What leaves the device is
a tenth of the maps or less, and what remains to be done there is the grouping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posert.engine_builder.compact_links import link_tensor
from posert.engine_builder.compact_peaks import Grid, peak_tensors
from posert.engine_builder.fixed_size import Sizes, fix_size, input_shape, map_sizes
from posert.engine_builder.graph import OPSET, Graph, Tensor
from posert.engine_builder.onnx_check import without_functions
from posert.errors import ModelError, first_line
from posert.model_card import InputCard, ModelCard, TensorCard
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology

if TYPE_CHECKING:
    import onnx

SHARE = 0.1  # of the maps' bytes: what the compact form may take
LEAST_PEAKS = 16


def compact(
    network: onnx.ModelProto,
    card: ModelCard,
    topology: Topology,
    settings: ParserSettings,
    *,
    size: tuple[int, int] | None = None,
) -> onnx.ModelProto:
    """``network`` with pre-processing before it and peak finding and link scoring behind it.

    The model takes ``frames``, uint8 (N, H, W, 3) BGR, already letterboxed, and returns

    - ``peaks``, float32 (N, C, M, 3): y, x in map cells (a cell's centre is at + 0.5) and score,
      each type's in row-major order; 0 at and beyond its count;
    - ``counts``, int32 (N, C): peaks found of each type, those beyond M included;
    - ``link_scores``, float32 (N, K, M, M): of link k between peak a (row) and b; 0 where there
      is no pair.

    It has standard operators only, of the network's opset or 17, whichever is newer.

    Args:
        network: as the card describes it; it stays as it is.
        card: its input and outputs.
        topology: C keypoints and K links, at least one.
        settings: ``threshold``, ``window``, ``samples``, ``reference`` and ``max_peaks`` (M)
            become part of the graph; the others are for ``parse_tensors``.
        size: height and width in pixels, then the only ones the model takes, and sizes inside
            it are constants (CUDA graphs want that); None: any, or the only ones of the network.

    Raises:
        ModelError: the network cannot be brought to opset 17, has sparse weights, contradicts its
            card or ``size``, or its topology has no links.
    """
    network = _modern(network)
    batch, *sides = input_shape(network, card.input.name)
    height, width = sides[1:]
    if size is None and isinstance(height, int) and isinstance(width, int):
        size = height, width
    if size is not None:
        network = fix_size(network, card.input.name, size)
        height, width = size
    known = map_sizes(network)
    cells = _cells(known, card, size)
    graph = Graph(opset_of(network))
    frames = graph.input("frames", np.uint8, (batch, height, width, 3))
    with graph.scope("input"):
        image = _normalised(frames, card.input)
    outputs = graph.merge(network, {card.input.name: image})
    with graph.scope("maps"):
        cmap = _part(outputs, card.outputs.cmap, known)
        paf = _part(outputs, card.outputs.paf, known)
    _parse(cmap, paf, topology, settings, cells, batch)
    return graph.model(f"{card.name}, compact")


def parse_graph(topology: Topology, settings: ParserSettings) -> onnx.ModelProto:
    """The part of ``compact`` behind a network, as a model of its own.

    It takes ``cmap``, float32 (N, C, h, w), and ``paf``, float32 (N, 2K, h, w), of 2 x 2 cells at
    least, and returns what ``compact`` returns.

    Raises:
        ModelError: the topology has no links.
    """
    graph = Graph()
    c, k = len(topology.keypoints), len(topology.links)
    cmap = graph.input("cmap", np.float32, ("N", c, "h", "w"))
    paf = graph.input("paf", np.float32, ("N", 2 * k, "h", "w"))
    _parse(cmap, paf, topology, settings, None, "N")
    return graph.model("peaks and link scores")


def peaks_limit(topology: Topology, settings: ParserSettings, cells: tuple[int, int]) -> int:
    """How many peaks of a type the compact form should hold for maps of ``cells`` (h, w).

    The most, in steps of 8, with which its outputs take a tenth of the float32 maps' bytes at
    most; but at least 16, and never more than ``settings.max_peaks``.
    """
    c, k = len(topology.keypoints), len(topology.links)
    room = SHARE * (c + 2 * k) * cells[0] * cells[1]  # in numbers of 4 bytes, as all outputs are
    most = LEAST_PEAKS
    while c * (most + 8) * 3 + c + k * (most + 8) ** 2 <= room:
        most += 8
    return min(most, settings.max_peaks)


def opset_of(network: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that ``network`` uses."""
    return max((o.version for o in network.opset_import if o.domain in ("", "ai.onnx")), default=1)


def _modern(network: onnx.ModelProto) -> onnx.ModelProto:
    """``network``, or a copy of the opset that the graph around it needs, in nodes alone."""
    from onnx import version_converter

    network = without_functions(network)
    parts = {"functions": network.functions, "sparse weights": network.graph.sparse_initializer}
    if left := [kind for kind, found in parts.items() if found]:
        raise ModelError(f"the network has {left[0]}", fix="export it without, or --form maps")
    if opset_of(network) >= OPSET:
        return network
    try:
        return version_converter.convert_version(network, OPSET)
    except Exception as e:  # whatever the converter's C++ code throws
        reason = first_line(e, 120)
        raise ModelError(
            f"the network cannot be brought from opset {opset_of(network)} to {OPSET} ({reason})",
            fix=f"export it again with opset_version={OPSET}",
        ) from e


def _cells(known: Sizes, card: ModelCard, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The maps' (h, w) at ``size``, held against what the network says of itself."""
    if size is None:
        return None
    stride = card.outputs.stride
    expected = size[0] // stride, size[1] // stride
    for name in (card.outputs.cmap.name, card.outputs.paf.name):
        cells = tuple(known.get(name, [])[2:])
        if all(cells) and cells and cells != expected:
            raise ModelError(
                f"model {card.name}: output {name!r} contradicts the card",
                got=f"{cells[0]} x {cells[1]} cells",
                expected=f"{expected[0]} x {expected[1]}, 1/{stride} of {size[0]} x {size[1]}",
            )
    return expected


def _normalised(frames: Tensor, card: InputCard) -> Tensor:
    """Pictures uint8 (N, H, W, 3) BGR as the network's float32 (N, 3, H, W)."""
    image = frames.cast(np.float32)  # first of all: TensorRT takes uint8 nowhere else
    image = image.transpose(0, 3, 1, 2)
    if card.colour == "rgb":
        image = image.choose(1, (2, 1, 0))
    mean, std = (np.reshape(values, (3, 1, 1)) * card.scale for values in (card.mean, card.std))
    return (image - mean) * (1 / std)


def _part(outputs: dict[str, Tensor], card: TensorCard, known: Sizes) -> Tensor:
    """The channels that the card names, as float32."""
    if card.name not in outputs:
        raise ModelError(f"the network has no output {card.name!r}", got=sorted(outputs))
    tensor = outputs[card.name]
    first, end = card.channels
    if first > 0 or known[card.name][1:2] != [end]:
        tensor = tensor.slice(1, first, end)
    return tensor.cast(np.float32)


def _parse(
    cmap: Tensor,
    paf: Tensor,
    topology: Topology,
    settings: ParserSettings,
    cells: tuple[int, int] | None,
    batch: int | str,
) -> None:
    """Add peaks, counts and link scores of the maps, of ``cells`` or free, to their graph."""
    if not topology.links:
        raise ModelError(
            f"topology {topology.name!r} has no links to score", fix="use the maps form"
        )
    graph, m = cmap.graph, settings.max_peaks
    c, k = len(topology.keypoints), len(topology.links)
    with graph.scope("peaks"):
        grid = Grid.of(cmap, cells)
        peaks = peak_tensors(cmap, c, grid, settings)
        rows = graph.concat([peaks.points, peaks.scores.reshape(0, 0, 1, m)], axis=2)
        table = rows.transpose(0, 1, 3, 2)
    with graph.scope("links"):
        scores = link_tensor(paf, peaks, grid, topology, settings)
    graph.output(table, "peaks", (batch, c, m, 3))
    graph.output(peaks.counts, "counts", (batch, c))
    graph.output(scores, "link_scores", (batch, k, m, m))
