"""A network in half precision: the float32 ONNX rewritten, its inputs and outputs left as they are.

TensorRT takes the precision from the ONNX (its 11 line knows no other way), so it is baked in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from posert.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

# Inputs that stay float32, or are no tensors of the picture at all, by operator and position
_SIZE_INPUTS = {
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "Slice": (1, 2, 3, 4),
    "Pad": (1,),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
}
_SUFFIX = "_fp16"


def to_fp16(network: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``network`` that computes in float16; inputs and outputs stay float32.

    What computes sizes (from a Shape to a Resize, say) stays as it is. Weights beyond float16 are
    held at its ends: none becomes infinite, and none that was not 0 becomes 0. The scales of
    quantised tensors become float16 too, which needs opset 19.

    Raises:
        ModelError: it has branches or loops, or operators that do not take float16.
    """
    import onnx

    half = onnx.ModelProto()
    half.CopyFrom(network)
    half.ir_version = max(half.ir_version, 4)  # before it, weights had to be inputs too
    if branching := [n for n in half.graph.node if any(a.HasField("g") for a in n.attribute)]:
        raise ModelError(
            f"the network cannot be brought to fp16: {branching[0].op_type} {branching[0].name!r}",
            expected="a network without branches and loops",
        )
    constants_to_weights(half.graph)
    _Halving(half.graph).rewrite()
    del half.graph.value_info[:]  # of float32; what reads the network infers them anew
    try:
        onnx.checker.check_model(half, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        reason = str(e).strip().splitlines()[0][:160]
        raise ModelError(f"the network cannot be brought to fp16: {reason}") from e
    return half


def constants_to_weights(graph: onnx.GraphProto) -> None:
    """Make each Constant node an initializer, in place: then there is one kind of constant."""
    from onnx import numpy_helper

    for node in [n for n in graph.node if n.op_type == "Constant"]:
        (attribute,) = node.attribute
        if attribute.name == "value":
            value = numpy_helper.to_array(attribute.t)
        elif attribute.name in ("value_float", "value_floats"):
            value = np.asarray(attribute.f if attribute.HasField("f") else attribute.floats, "f4")
        elif attribute.name in ("value_int", "value_ints"):
            value = np.asarray(attribute.i if attribute.HasField("i") else attribute.ints, "i8")
        else:
            continue  # a string or a sparse tensor
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        graph.node.remove(node)


@dataclass(slots=True, eq=False)
class _Halving:
    """A graph on its way to float16."""

    graph: onnx.GraphProto
    names: dict[str, str] = field(default_factory=dict)  # of float32 tensors -> of float16 ones

    def rewrite(self) -> None:
        from onnx import TensorProto

        graph = self.graph
        sizes = _size_nodes(graph)
        weights = {w.name: w for w in graph.initializer}
        ends = [
            [v for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT]
            for values in (graph.input, graph.output)
        ]
        inputs = [v.name for v in ends[0] if v.name not in weights]
        outputs = [v.name for v in ends[1]]
        self.names |= {name: name + _SUFFIX for name in (*inputs, *outputs)}
        for index, node in enumerate(graph.node):
            if index not in sizes:
                self._halve(node, weights)
        self._cast(inputs, outputs)
        _drop_unread(graph)

    def _halve(self, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> None:
        """Make ``node`` read and write float16."""
        from onnx import TensorProto

        as_it_is = _SIZE_INPUTS.get(node.op_type, ())
        for position, name in enumerate(node.input):
            if position in as_it_is:
                continue
            weight = weights.get(name)
            if weight is not None and weight.data_type == TensorProto.FLOAT:
                self._halve_weight(weight)
            node.input[position] = self.names.get(name, name)
        for position, name in enumerate(node.output):
            node.output[position] = self.names.get(name, name)
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        if node.op_type == "ConstantOfShape":
            _halve_fill(node)

    def _halve_weight(self, weight: onnx.TensorProto) -> None:
        from onnx import numpy_helper

        if weight.name not in self.names:
            name = self.names[weight.name] = weight.name + _SUFFIX
            values = as_float16(numpy_helper.to_array(weight))
            self.graph.initializer.append(numpy_helper.from_array(values, name))

    def _cast(self, inputs: list[str], outputs: list[str]) -> None:
        """From the float32 inputs, to the float32 outputs."""
        from onnx import TensorProto, helper

        half, full = TensorProto.FLOAT16, TensorProto.FLOAT
        for name in reversed(inputs):
            node = helper.make_node("Cast", [name], [self.names[name]], f"{name}_to_fp16", to=half)
            self.graph.node.insert(0, node)
        for name in outputs:
            node = helper.make_node("Cast", [self.names[name]], [name], f"{name}_to_fp32", to=full)
            self.graph.node.append(node)


def as_float16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """``values`` as float16, none infinite and none newly 0 (a scale of 0 would divide by it)."""
    end = np.finfo(np.float16)
    half: npt.NDArray[np.float16] = np.clip(values, end.min, end.max).astype(np.float16)
    least = np.copysign(end.smallest_subnormal, values).astype(np.float16)
    return np.where((half == 0) & (values != 0), least, half)


def _size_nodes(graph: onnx.GraphProto) -> set[int]:
    """Positions of the nodes that compute sizes: between a Shape and an input that is a size."""
    writer = {name: i for i, node in enumerate(graph.node) for name in node.output}
    wanted = [
        node.input[position]
        for node in graph.node
        for position in _SIZE_INPUTS.get(node.op_type, ())
        if position < len(node.input)
    ]
    found: set[int] = set()
    while wanted:
        index = writer.get(wanted.pop())
        if index is None or index in found or graph.node[index].op_type in ("Shape", "Size"):
            continue
        found.add(index)
        wanted += graph.node[index].input
    return found


def _halve_fill(node: onnx.NodeProto) -> None:
    from onnx import TensorProto, helper, numpy_helper

    given = [numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"]
    value = given[0] if given else np.zeros(1, np.float32)
    if value.dtype == np.float32:
        del node.attribute[:]
        half = helper.make_tensor("value", TensorProto.FLOAT16, [1], as_float16(value).tolist())
        node.attribute.append(helper.make_attribute("value", half))


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Take out the float32 weights that only their float16 copies replace."""
    read = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    unread = {w.name for w in graph.initializer} - read
    for values in (graph.initializer, graph.input):  # old exporters list weights as inputs too
        for value in [v for v in values if v.name in unread]:
            values.remove(value)
