"""A network for one input size: what it computes from its input's size becomes constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from posert.errors import ModelError

if TYPE_CHECKING:
    import onnx

Sizes = dict[str, list[int]]  # of a tensor's axes, 0 where it is free


def fix_size(network: onnx.ModelProto, name: str, size: tuple[int, int]) -> onnx.ModelProto:
    """A copy of ``network`` that takes ``size`` (height, width) only at its input ``name``.

    Exporters write "enlarge to the size of that other map" as a chain of nodes on shapes, which
    stays on the CPU when the rest runs on a GPU. Here the enlargement becomes a constant factor
    and the chain, of which nothing is needed any more, goes away.

    Raises:
        ModelError: the network takes another size only.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(network)
    given = next(v for v in fixed.graph.input if v.name == name)
    for axis, length in zip(given.type.tensor_type.shape.dim[2:], size, strict=True):
        if axis.dim_value not in (0, length):
            raise ModelError(f"input {name!r}: size", got=size, expected=input_shape(network, name))
        axis.dim_value = length
    del fixed.graph.value_info[:]  # they speak of free sizes
    sizes = map_sizes(fixed)
    for node in fixed.graph.node:
        if node.op_type == "Resize":
            _enlarge_by_factor(fixed.graph, node, sizes)
    _drop_unused(fixed.graph)
    return fixed


def input_shape(network: onnx.ModelProto, name: str) -> list[int | str]:
    """The sizes of an input, a name where one is free.

    Raises:
        ModelError: there is no such input.
    """
    for value in network.graph.input:
        if value.name == name:
            dims = value.type.tensor_type.shape.dim
            return [d.dim_value or d.dim_param or f"axis_{i}" for i, d in enumerate(dims)]
    raise ModelError(f"the network has no input {name!r}", fix="correct its card")


def map_sizes(network: onnx.ModelProto) -> Sizes:
    """The sizes of all tensors, as far as they can be told without running the network."""
    from onnx import shape_inference

    known = shape_inference.infer_shapes(network, data_prop=True).graph
    return {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*known.input, *known.value_info, *known.output)
    }


def _enlarge_by_factor(graph: onnx.GraphProto, node: onnx.NodeProto, sizes: Sizes) -> None:
    """Give a Resize that asks for a computed size its factors, where they lead to that size."""
    from onnx import numpy_helper

    weights = {weight.name for weight in graph.initializer}
    if len(node.input) < 4 or not node.input[3] or node.input[3] in weights:
        return
    before, after = (np.array(sizes.get(n, [])[2:]) for n in (node.input[0], node.output[0]))
    if len(before) != 2 or len(after) != 2 or not (before.all() and after.all()):
        return
    factors = np.array([1, 1, *(after / before)], np.float32)
    if (np.floor(before.astype(np.float32) * factors[2:]) != after).any():
        return
    name = f"{node.output[0]}_factors"
    graph.initializer.append(numpy_helper.from_array(factors, name))
    node.input[2] = name
    del node.input[3]


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and weights that no output depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_reads(node))
            kept.append(node)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)


def _reads(node: onnx.NodeProto) -> set[str]:
    """What a node reads, the graphs inside it included."""
    names: set[str] = set(node.input)
    inner: list[Any] = [a.g for a in node.attribute if a.HasField("g")]
    for graph in inner:
        names.update(*(_reads(child) for child in graph.node), (v.name for v in graph.output))
    return names
