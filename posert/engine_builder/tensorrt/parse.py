"""TensorRT's ONNX parser, and why it refuses a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from posert.engine_builder.tensorrt.watch import BuildWatch, shortened
from posert.errors import EngineError, ModelError

if TYPE_CHECKING:
    import onnx

_MOST_NAMED = 5


def parse(parser: Any, network: Any, source: Path | bytes, watch: BuildWatch) -> None:
    """Reads ``source`` into ``network``.

    Raises:
        ModelError: the file is absent, damaged, or its external weights are missing.
        EngineError: this TensorRT does not support an operator, or refuses the network.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise ModelError(f"{source}: is not there", fix="check the path of the ONNX")
        parsed = parser.parse_from_file(str(source))  # by its path: weights may lie beside it
    else:
        parsed = parser.parse(source)
    watch.raise_what_callbacks_raised()
    if parsed and network.num_outputs:  # text that is no ONNX parses as an empty network
        return
    nodes = _decoded(source).graph.node
    raise EngineError(
        _refusal(parser, nodes, watch), fix="onnxruntime may run it (--backend onnxruntime)"
    )


def _refusal(parser: Any, nodes: Any, watch: BuildWatch) -> str:
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    unsupported = dict.fromkeys(_operator(e, nodes) for e in errors if _is_unsupported(e))
    if unsupported:
        named = list(unsupported)[:_MOST_NAMED]
        more = f" and {len(unsupported) - len(named)} more" if len(unsupported) > len(named) else ""
        return f"{watch.title} does not support {', '.join(named)}{more}"
    if errors and errors[0].node() >= 0:
        reason = shortened(errors[0].desc())
        return f"{watch.title} refuses the ONNX at {_operator(errors[0], nodes)}: {reason}"
    return f"{watch.title} refuses the ONNX: {watch.reason}"


def _is_unsupported(error: Any) -> bool:
    return error.code().name == "UNSUPPORTED_NODE" or "Plugin not found" in error.desc()


def _operator(error: Any, nodes: Any) -> str:
    """``Det (node 'name')``; the parser of 8.6 knows only where in the ONNX it is."""
    if hasattr(error, "node_operator"):
        kind, name = error.node_operator(), error.node_name()
    elif error.node() < len(nodes):
        kind, name = nodes[error.node()].op_type, nodes[error.node()].name
    else:
        kind, name = "", ""
    return f"{kind or 'an operator'} (node {name or error.node()!r})"


def _decoded(source: Path | bytes) -> onnx.ModelProto:
    """What TensorRT refused; damage and missing weights are refused here in clearer words."""
    import onnx
    from google.protobuf.message import DecodeError

    where = source if isinstance(source, Path) else "the ONNX"
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        model = onnx.load_model_from_string(data)
    except (DecodeError, OSError) as e:
        raise ModelError(f"{where}: not a complete ONNX file", fix="export or copy it again") from e
    if not model.graph.output:
        raise ModelError(f"{where}: not an ONNX of a network", fix="export or copy it again")
    files = {
        entry.value
        for tensor in model.graph.initializer
        if onnx.external_data_helper.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    folder = source.parent if isinstance(source, Path) else None
    missing = sorted(f for f in files if folder is None or not (folder / f).is_file())
    if missing:
        raise ModelError(
            f"{where}: its weights are in another file",
            got=f"no {missing[0]}" + (" beside it" if folder else ""),
            fix="copy that file beside the ONNX, or save the ONNX as one file",
        )
    return model
