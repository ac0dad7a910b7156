"""A small builder of ONNX graphs, in which arithmetic on tensors reads as it does in NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

Size: TypeAlias = "int | Tensor"  # of an axis: a number, or an int32 scalar of the graph
Operand: TypeAlias = "Tensor | float | np.floating[Any] | npt.NDArray[Any]"
Shape: TypeAlias = Sequence["int | str"]  # a name stands for a size that is free
OPSET = 17  # of the default domain: the least that a built graph uses


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of a graph; operators on it add nodes, numbers and arrays become constants."""

    graph: Graph
    name: str
    dtype: np.dtype[Any]

    def __add__(self, other: Operand) -> Tensor:
        return self._with("Add", other)

    def __sub__(self, other: Operand) -> Tensor:
        return self._with("Sub", other)

    def __rsub__(self, other: float) -> Tensor:
        return self.graph.constant(other, self.dtype) - self

    def __mul__(self, other: Operand) -> Tensor:
        return self._with("Mul", other)

    def __rmul__(self, other: float) -> Tensor:
        return self * other

    def __truediv__(self, other: Operand) -> Tensor:
        return self._with("Div", other)

    def __floordiv__(self, other: Operand) -> Tensor:
        """Of integers that are not negative: ONNX rounds towards 0."""
        return self._with("Div", other)

    def __and__(self, other: Tensor) -> Tensor:
        return self._with("And", other)

    def __ge__(self, other: Tensor | float) -> Tensor:
        return self._with("GreaterOrEqual", other, np.bool_)

    def __gt__(self, other: Tensor | float) -> Tensor:
        return self._with("Greater", other, np.bool_)

    def __le__(self, other: Tensor | float) -> Tensor:
        return self._with("LessOrEqual", other, np.bool_)

    def __lt__(self, other: Tensor | float) -> Tensor:
        return self._with("Less", other, np.bool_)

    def __neg__(self) -> Tensor:
        return self.graph.node("Neg", self)

    def __abs__(self) -> Tensor:
        return self.graph.node("Abs", self)

    def log(self) -> Tensor:
        return self.graph.node("Log", self)

    def sqrt(self) -> Tensor:
        return self.graph.node("Sqrt", self)

    def maximum(self, other: Operand) -> Tensor:
        return self._with("Max", other)

    def minimum(self, other: Operand) -> Tensor:
        return self._with("Min", other)

    def cast(self, dtype: npt.DTypeLike) -> Tensor:
        """The values as ``dtype``; the fraction of a float is cut off."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        return self.graph.node("Cast", self, dtype=kind, to=_onnx_type(kind))

    def reshape(self, *shape: int) -> Tensor:
        """0 keeps the size at its place, -1 is what remains."""
        return self.graph.node("Reshape", self, self.graph.constant(shape, np.int64))

    def transpose(self, *order: int) -> Tensor:
        return self.graph.node("Transpose", self, perm=order)

    def slice(self, axis: int, start: int, stop: int) -> Tensor:
        bounds = (self.graph.constant([value], np.int64) for value in (start, stop, axis))
        return self.graph.node("Slice", self, *bounds)

    def choose(self, axis: int, indices: int | Sequence[int]) -> Tensor:
        """The parts at ``indices`` of ``axis``, the same everywhere; a number drops the axis."""
        return self.graph.node("Gather", self, self.graph.constant(indices, np.int64), axis=axis)

    def take(self, axis: int, indices: Tensor) -> Tensor:
        """``np.take_along_axis``."""
        return self.graph.node("GatherElements", self, indices, axis=axis)

    def sum(self, *axes: int) -> Tensor:
        """The sum over ``axes``, which disappear."""
        return self.graph.node("ReduceSum", self, self.graph.constant(axes, np.int64), keepdims=0)

    def pad(self, before: Sequence[int], after: Sequence[int], mode: str = "constant") -> Tensor:
        pads = self.graph.constant([*before, *after], np.int64)
        return self.graph.node("Pad", self, pads, mode=mode)

    def top(self, count: int) -> tuple[Tensor, Tensor]:
        """The ``count`` largest of the last axis, the largest first, and where they are, int64."""
        outputs = self.graph.nodes(
            "TopK", self, self.graph.constant([count], np.int64), dtypes=(self.dtype, np.int64)
        )
        return outputs[0], outputs[1]

    def where(self, if_true: Tensor, if_false: Operand) -> Tensor:
        """Of this condition: ``np.where``."""
        other = self.graph.operand(if_false, if_true.dtype)
        return self.graph.node("Where", self, if_true, other, dtype=if_true.dtype)

    def _with(self, op: str, other: Operand, dtype: npt.DTypeLike | None = None) -> Tensor:
        operand = self.graph.operand(other, self.dtype)
        return self.graph.node(op, self, operand, dtype=dtype or self.dtype)


class Graph:
    """Collects nodes in the order of their computation, and makes a model of them."""

    def __init__(self, opset: int = OPSET) -> None:
        self._domains = {"": opset}
        self._ir_version = 8  # that of opset 17
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}
        self._scope = ""

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nodes added inside are called ``name/...``."""
        before, self._scope = self._scope, f"{name}/"
        yield
        self._scope = before

    def input(self, name: str, dtype: npt.DTypeLike, shape: Shape) -> Tensor:
        self._inputs.append(_value_info(name, np.dtype(dtype), shape))
        return Tensor(self, name, np.dtype(dtype))

    def output(self, tensor: Tensor, name: str, shape: Shape) -> None:
        """Make ``tensor`` the model's next output, called ``name``."""
        self._add("Identity", [tensor.name], [name], {})
        self._outputs.append(_value_info(name, tensor.dtype, shape))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> Tensor:
        """``value`` as a weight of the model; equal ones are stored once."""
        from onnx import numpy_helper

        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._weights.append(numpy_helper.from_array(array, name))
            self._constants[key] = Tensor(self, name, array.dtype)
        return self._constants[key]

    def operand(self, value: Operand, dtype: np.dtype[Any]) -> Tensor:
        return value if isinstance(value, Tensor) else self.constant(value, dtype)

    def node(
        self, op: str, *inputs: Tensor, dtype: npt.DTypeLike | None = None, **attributes: Any
    ) -> Tensor:
        """Add a node of one output, of the first input's dtype where none is given."""
        return self.nodes(op, *inputs, dtypes=(dtype or inputs[0].dtype,), **attributes)[0]

    def nodes(
        self, op: str, *inputs: Tensor, dtypes: Sequence[npt.DTypeLike], **attributes: Any
    ) -> list[Tensor]:
        """Add a node with an output of each of ``dtypes``."""
        name = f"{self._scope}{op}_{len(self._nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, len(dtypes)))]
        self._add(op, [tensor.name for tensor in inputs], names, attributes)
        return [Tensor(self, n, np.dtype(d)) for n, d in zip(names, dtypes, strict=True)]

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        return self.node("Concat", *tensors, axis=axis)

    def merge(self, network: onnx.ModelProto, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put ``network``, fed by ``feeds``, into the graph; its names become ``network/...``.

        It has no functions of its own and no sparse weights: there is no place for them.

        Returns:
            Its outputs by the names they had.
        """
        from onnx import compose, helper

        part = compose.add_prefix(network, "network/")
        for name, tensor in feeds.items():
            self._add("Identity", [tensor.name], [f"network/{name}"], {})
        self._nodes += part.graph.node
        self._weights += part.graph.initializer
        self._domains.update({o.domain: o.version for o in part.opset_import})
        self._ir_version = max(self._ir_version, part.ir_version)
        outputs = {}
        for before, value in zip(network.graph.output, part.graph.output, strict=True):
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            outputs[before.name] = Tensor(self, value.name, dtype)
        return outputs

    def model(self, name: str) -> onnx.ModelProto:
        """All that was added, as a model that ONNX's checker has accepted."""
        from onnx import checker, helper

        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._weights)
        domains = [helper.make_opsetid(d, version) for d, version in self._domains.items()]
        model = helper.make_model(graph, opset_imports=domains, producer_name="posert")
        model.ir_version = self._ir_version
        checker.check_model(model)
        return model

    def _add(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Any]
    ) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(op, inputs, outputs, outputs[0], **attributes))


def _onnx_type(dtype: np.dtype[Any]) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _value_info(name: str, dtype: np.dtype[Any], shape: Shape) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, _onnx_type(dtype), list(shape))
