"""Holds an ONNX against its model card before anything is built or run from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from posert.errors import ModelError
from posert.model_card import ModelCard, TensorCard, height_and_width
from posert.postprocess.topology import Topology

if TYPE_CHECKING:
    import onnx

Shape = tuple[int | str, ...]  # a name stands for a size that is free
_DEQUANTIZE = b"\x22\x10DequantizeLinear"  # NodeProto.op_type as it is serialised


def check_onnx(card: ModelCard, topology: Topology) -> None:
    """Refuse an ONNX that contradicts its card or topology, with every difference.

    Raises:
        ModelError: the file is no complete ONNX, or differs from the card.
    """
    inputs, outputs = _tensors(card.onnx_path)
    differences = [
        *_topology_differences(card, topology),
        *_input_differences(card, inputs),
        *_output_differences(card.outputs.cmap, outputs),
        *_output_differences(card.outputs.paf, outputs),
    ]
    if differences:
        raise ModelError(
            f"{card.onnx_path} contradicts its card: {'; '.join(dict.fromkeys(differences))}",
            fix=f"correct {card.folder / 'card.yaml'} or use the ONNX it was written for",
        )


def load_onnx(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """The ONNX in ``path``; without ``weights`` those in files of their own are left there.

    Raises:
        ModelError: it is damaged, no ONNX, or a file of its weights is missing.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=weights)
        onnx.checker.check_model(str(path), check_custom_domain=False)  # weights are beside it
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as e:
        reason = (str(e).strip().splitlines() or ["it cannot be decoded"])[0][:160]
        raise ModelError(
            f"{path}: not a complete ONNX file ({reason})", fix="export or copy it again"
        ) from e
    return model


def fixed_batch(card: ModelCard, path: Path) -> int | None:
    """The only number of pictures a call that the ONNX in ``path`` takes; None where it is free.

    Raises:
        ModelError: it is no complete ONNX.
    """
    inputs, _ = _tensors(path)
    batch = (inputs.get(card.input.name) or ("?",))[0]
    return batch if isinstance(batch, int) and batch > 0 else None


def is_quantised(path: Path) -> bool:
    """Whether the ONNX in ``path`` has INT8 in it, told without loading onnx.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return _DEQUANTIZE in path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: cannot be read", got=e.strerror) from e


def without_functions(network: onnx.ModelProto) -> onnx.ModelProto:
    """``network`` with its functions, of which newer exporters make layers, put where they act."""
    from onnx import inliner

    return inliner.inline_local_functions(network) if network.functions else network


def _tensors(path: Path) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Names and shapes of the graph's inputs (weights left out) and outputs."""
    model = load_onnx(path, weights=False)
    weights = {w.name for w in model.graph.initializer}
    inputs = {v.name: _shape(v) for v in model.graph.input if v.name not in weights}
    return inputs, {v.name: _shape(v) for v in model.graph.output}


def _shape(value: Any) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims)


def _topology_differences(card: ModelCard, topology: Topology) -> list[str]:
    c, k = len(topology.keypoints), len(topology.links)
    (c0, c1), (p0, p1) = card.outputs.cmap.channels, card.outputs.paf.channels
    found = [f"cmap channels: card {c1 - c0}, topology {c}"] if c1 - c0 != c else []
    return found + ([f"paf channels: card {p1 - p0}, topology {2 * k}"] if p1 - p0 != 2 * k else [])


def _input_differences(card: ModelCard, inputs: dict[str, Shape]) -> list[str]:
    name = card.input.name
    if name not in inputs:
        return [f"input: card {name!r}, ONNX {sorted(inputs)}"]
    shape = inputs[name]
    if len(shape) != 4 or shape[1] not in (3, "?"):
        return [f"input {name!r}: card N x 3 x H x W, ONNX {_written(shape)}"]
    if not card.input.fixed:
        fixed = [d for d in shape[2:] if isinstance(d, int)]
        return [f"input {name!r}: card any size, ONNX {_written(shape)}"] if fixed else []
    size = height_and_width(card.input.size)
    wrong = [d for d, want in zip(shape[2:], size, strict=True) if isinstance(d, int) and d != want]
    return [f"input {name!r}: card {size[0]} x {size[1]}, ONNX {_written(shape)}"] if wrong else []


def _output_differences(tensor: TensorCard, outputs: dict[str, Shape]) -> list[str]:
    if tensor.name not in outputs:
        return [f"output: card {tensor.name!r}, ONNX {sorted(outputs)}"]
    shape = outputs[tensor.name]
    if len(shape) != 4:
        return [f"output {tensor.name!r}: card N x C x h x w, ONNX {_written(shape)}"]
    if isinstance(shape[1], int) and shape[1] < tensor.channels[1]:
        return [f"output {tensor.name!r}: card up to channel {tensor.channels[1]}, ONNX {shape[1]}"]
    return []


def _written(shape: Shape) -> str:
    return " x ".join(str(d) for d in shape)
