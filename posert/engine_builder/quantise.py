"""A network in INT8: QuantizeLinear/DequantizeLinear pairs around what is to run in 8 bits.

onnxruntime's static quantisation does the work; docs/int8.md says why these options.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from posert.engine_builder.precision import constants_to_weights, to_fp16
from posert.engine_builder.scratch import scratch_folder
from posert.errors import InputError, ModelError, first_line
from posert.types import Float32

if TYPE_CHECKING:
    import onnx

Target: TypeAlias = Literal["cpu", "tensorrt"]

_OPSET = {"cpu": 13, "tensorrt": 19}  # scales a channel; float16 scales
_OPERATORS = {
    "cpu": ("Add", "AveragePool", "Clip", "Concat", "Conv", "MaxPool", "Relu", "Resize"),
    "tensorrt": ("Conv",),
}
_CONVOLUTIONS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# The mean of each picture's least and largest value: a rare outlier does not widen all steps
_MEAN_RANGE = {"CalibMovingAverage": True, "CalibMovingAverageConstant": 1.0}
# What NVIDIA's parser takes: no zero points, no int32 biases, weights behind a pair of their own
_FOR_TENSORRT = {
    "ActivationSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "OpTypesToExcludeOutputQuantization": list(_OPERATORS["tensorrt"]),
}


def to_int8(
    network: onnx.ModelProto,
    pictures: Iterable[Float32],
    *,
    target: Target,
    keep: Collection[str] = (),
) -> onnx.ModelProto:
    """A copy of ``network`` with 8-bit weights and activations; inputs and outputs stay float32.

    Left in higher precision: the last convolutions before the outputs, ConvTranspose, and for
    ``tensorrt`` depthwise convolutions and all that is no convolution, in fp16. For ``cpu``
    weights take 7 bits: CPUs without VNNI add pairs of products in 16 bits, which 8 overflow.

    Args:
        network: float32, with one input.
        pictures: what the network takes, float32 (1, 3, H, W), normalised; sizes may differ.
            At least 1; 64 do, and 8 nearly.
        target: which engine reads the result.
        keep: names of more nodes to leave in higher precision.

    Raises:
        InputError: there are no pictures.
        ModelError: onnxruntime or onnx cannot quantise this network.
        OutputError: there is no room for it in the temporary folder.
    """
    first, rest = _first(pictures)
    modern = _modern(network, _OPSET[target])
    name = _input_name(modern)
    reader = _reader({name: picture} for picture in chain([first], rest))
    with scratch_folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old onnxruntime calls what old onnx deprecates
        prepared = _prepared(modern, folder)
        kept = [*_heads(prepared.graph), *keep]
        if target == "tensorrt":
            kept += _depthwise(prepared.graph)
        quantised = _quantised(prepared, reader, target, kept, folder)
    _drop_unused_domains(quantised)
    return to_fp16(quantised) if target == "tensorrt" else quantised


def _first(pictures: Iterable[Float32]) -> tuple[Float32, Iterator[Float32]]:
    rest = iter(pictures)
    first = next(rest, None)
    if first is None:
        raise InputError(
            "calibration", got="0 pictures", expected="at least 1", fix="64 of what it will see"
        )
    return first, rest


def _modern(network: onnx.ModelProto, least: int) -> onnx.ModelProto:
    """A copy of at least opset ``least`` whose nodes all have names of their own."""
    import onnx
    from onnx import version_converter

    modern = onnx.ModelProto()
    modern.CopyFrom(network)
    opset = max((o.version for o in network.opset_import if o.domain in ("", "ai.onnx")), default=1)
    if opset < least:
        try:
            modern = version_converter.convert_version(modern, least)
        except Exception as e:  # whatever the converter's C++ code throws
            raise ModelError(
                f"the network cannot be brought to opset {least}: {first_line(e)}",
                fix=f"export it again with opset_version={least}",
            ) from e
    modern.ir_version = max(modern.ir_version, 9 if least >= 19 else 7)
    constants_to_weights(modern.graph)
    for index, node in enumerate(modern.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return modern


def _input_name(network: onnx.ModelProto) -> str:
    weights = {w.name for w in network.graph.initializer}
    names = [v.name for v in network.graph.input if v.name not in weights]
    if len(names) != 1:
        raise ModelError("int8: inputs of the network", got=names, expected="one")
    return str(names[0])


def _reader(inputs: Iterable[Mapping[str, Float32]]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self._inputs = iter(inputs)

        def get_next(self) -> Mapping[str, Float32] | None:
            return next(self._inputs, None)

    return Reader()


def _prepared(network: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """With BatchNorms folded into convolutions and all types known."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given, prepared = folder / "given.onnx", folder / "prepared.onnx"
    told = logging.getLogger("onnxruntime.quantization.shape_inference")
    told.setLevel(logging.CRITICAL)  # it logs a traceback of what it raises
    onnx.save(network, str(given))
    try:
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
    except OSError:  # a full disk
        raise
    except Exception as e:
        raise ModelError(f"int8: onnxruntime cannot prepare the network: {first_line(e)}") from e
    return onnx.load(str(prepared))


def _quantised(
    prepared: onnx.ModelProto, reader: Any, target: Target, kept: list[str], folder: Path
) -> onnx.ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    for_cpu = target == "cpu"
    given, quantised = folder / "prepared.onnx", folder / "quantised.onnx"
    try:
        quantize_static(
            str(given),
            str(quantised),
            reader,
            op_types_to_quantize=list(_OPERATORS[target]),
            nodes_to_exclude=kept,
            per_channel=True,
            reduce_range=for_cpu,
            activation_type=QuantType.QUInt8 if for_cpu else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options=_MEAN_RANGE if for_cpu else {**_MEAN_RANGE, **_FOR_TENSORRT},
        )
    except OSError:  # a full disk
        raise
    except Exception as e:
        raise ModelError(f"int8: onnxruntime cannot quantise it: {first_line(e)}") from e
    return onnx.load(str(quantised))


def _heads(graph: onnx.GraphProto) -> list[str]:
    """Names of the last convolutions before the outputs, and of what comes after them."""
    writer = {name: node for node in graph.node for name in node.output}
    wanted = [value.name for value in graph.output]
    found: dict[str, None] = {}
    while wanted:
        node = writer.get(wanted.pop())
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in _CONVOLUTIONS:
            wanted += node.input
    return list(found)


def _depthwise(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions in groups: few products to gain from, and most of the error."""
    return [n.name for n in graph.node if any(a.name == "group" and a.i > 1 for a in n.attribute)]


def _drop_unused_domains(network: onnx.ModelProto) -> None:
    """onnxruntime's optimiser lists every operator set it knows."""
    used = {node.domain or "ai.onnx" for node in network.graph.node}
    for opset in [o for o in network.opset_import if (o.domain or "ai.onnx") not in used]:
        network.opset_import.remove(opset)
