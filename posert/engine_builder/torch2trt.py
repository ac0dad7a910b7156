"""Engines of torch2trt: out of its ``*_trt.pth`` files, without PyTorch; and made by torch2trt.

torch2trt saves a state dict of the serialised engine and its tensors' names with ``torch.save``,
which is a pickle, and a pickle can run anything. The reader here makes no object but plain values,
``OrderedDict`` and bytes; on the first request for anything else it stops.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from posert.errors import ConfigError, EngineError, ModelError, first_line
from posert.model_card import ModelCard

_MAGIC: Final = 0x1950A86A20F9469CFC6C  # opens the format torch.save wrote before 1.6
_HEADERS: Final = 3  # pickles before the value there: magic, protocol, machine
_BYTES: Final = {  # what makes an engine's bytes in a pickle of protocol 2
    ("__builtin__", "bytearray"),
    ("builtins", "bytearray"),
    ("_codecs", "encode"),
}
_PLAN: Final = (b"ftrt", b"vtrt")  # open the plans of TensorRT and TensorRT-RTX
_VERSION_AT: Final = 24  # in a plan: major, minor, patch, a byte each


@dataclass(frozen=True, eq=False)
class Torch2trtEngine:
    """A serialised TensorRT engine and the names of its tensors, in the network's order."""

    engine: bytes
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]

    @property
    def version(self) -> str | None:
        """The TensorRT that built it, ``10.3.0``, by its header; None if that does not tell.

        NVIDIA documents no header: fit for an explanation, not for a decision.
        """
        major, minor, patch = (*self.engine[_VERSION_AT : _VERSION_AT + 3], 0, 0, 0)[:3]
        known = self.engine[:4] in _PLAN and 1 <= major <= 20
        return f"{major}.{minor}.{patch}" if known else None

    def names(self, card: ModelCard) -> dict[str, str]:
        """The engine's name of each tensor of ``card``, by its name there.

        torch2trt calls them ``input_0``, ``output_0``, ...; trt_pose's networks return ``cmap``
        before ``paf``.

        Raises:
            ModelError: the engine has other tensors than the card.
        """
        outputs = tuple(dict.fromkeys((card.outputs.cmap.name, card.outputs.paf.name)))
        if len(self.input_names) != 1 or len(self.output_names) != len(outputs):
            raise ModelError(
                f"model {card.name}: the engine contradicts the card",
                got=f"inputs {list(self.input_names)}, outputs {list(self.output_names)}",
                expected=f"one input, {len(outputs)} outputs",
            )
        if set(outputs) == set(self.output_names):  # named by whoever converted it, in any order
            return {card.input.name: self.input_names[0]} | {name: name for name in outputs}
        theirs = (*self.input_names, *self.output_names)
        return dict(zip((card.input.name, *outputs), theirs, strict=True))


def read_torch2trt(path: Path) -> Torch2trtEngine:
    """The engine in ``path``, a state dict of torch2trt's TRTModule; nothing in it is run.

    Raises:
        ModelError: the file is missing, damaged, no state dict of torch2trt, or asks for code.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: cannot be read", got=e.strerror) from e
    try:
        state = _zipped(data) if zipfile.is_zipfile(io.BytesIO(data)) else _in_sequence(data)
    except _RefusedError as e:
        raise _refusal(path, str(e)) from e
    except Exception as e:  # of unpickling bytes that are no pickle: nearly any
        raise ModelError(f"{path}: is damaged or no file of torch.save", fix="copy it again") from e
    return _checked(path, state)


def _checked(path: Path, state: object) -> Torch2trtEngine:
    if not isinstance(state, dict) or "engine" not in state:
        keys = ", ".join(sorted(map(str, state))[:3])[:80] if isinstance(state, dict) else ""
        raise ModelError(
            f"{path}: no state dict of torch2trt",
            got=f"keys {keys}" if keys else f"a {type(state).__name__}",
            expected="keys engine, input_names, output_names",
        )
    engine = state["engine"]
    if not isinstance(engine, (bytes, bytearray)) or not engine:
        got = f"a {type(engine).__name__}" if engine else "nothing"
        raise ModelError(f"{path}: its engine", got=got, expected="bytes")
    inputs, outputs = (  # not state.get(): a pickle may set attributes
        _names(path, dict.get(state, key)) for key in ("input_names", "output_names")
    )
    return Torch2trtEngine(bytes(engine), inputs, outputs)


def _names(path: Path, listed: object) -> tuple[str, ...]:
    if not isinstance(listed, (list, tuple)) or not all(isinstance(n, str) for n in listed):
        raise ModelError(f"{path}: its tensors' names", got=repr(listed)[:80])
    return tuple(listed)


def _zipped(data: bytes) -> object:
    """The value in torch.save's format since 1.6: a zip of stored files."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (entry,) = (e for e in archive.infolist() if e.filename.split("/")[1:] == ["data.pkl"])
        if entry.compress_type != zipfile.ZIP_STORED:  # torch.save never does: a bomb of zeros
            raise ValueError("compressed")
        return _PlainUnpickler(io.BytesIO(archive.read(entry))).load()


def _in_sequence(data: bytes) -> object:
    """The value in the format before: pickles one after the other."""
    file = io.BytesIO(data)
    if _PlainUnpickler(file).load() != _MAGIC:
        raise ValueError("another magic number")
    for _ in range(_HEADERS - 1):
        _PlainUnpickler(file).load()
    return _PlainUnpickler(file).load()


class _RefusedError(Exception):
    """A pickle asks for something that is no plain value; its text is what."""


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain values, OrderedDict and bytes; refuses all else before it is made."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in _BYTES:  # a new one each time: a pickle may set attributes on it
            return lambda content=b"", *_encoding: _bytes(content)
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("torch.storage")


def _bytes(content: object) -> bytes:
    """Bytes of bytes, or of text in Latin-1, which is how protocol 2 writes them; never a length.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(content, str):
        return content.encode("latin-1")
    if isinstance(content, bytes):
        return content
    raise TypeError(type(content).__name__)


def _refusal(path: Path, asked: str) -> ModelError:
    if asked.startswith("torch."):
        return ModelError(
            f"{path}: holds PyTorch's weights, no engine of torch2trt",
            fix=f"posert export {path} makes an ONNX of them",
        )
    return ModelError(
        f"{path}: refused, nothing in it was run: it asks for {asked[:80]}",
        expected="an engine and names alone",
        fix="get the file from where you trust it",
    )


def convert_with_torch2trt(
    network: Any, example: Any, precision: str = "fp32", batches: Sequence[int] = (1, 1, 1)
) -> Torch2trtEngine:
    """An engine of ``network``, a torch module on the GPU, by torch2trt.

    ``example`` is a tensor (N, 3, H, W) on the GPU; ``batches`` are the fewest, the usual and the
    most pictures a call.

    Raises:
        ConfigError: torch2trt has no such precision here.
        EngineError: torch2trt or TensorRT is not installed, does not fit the other, or fails.
    """
    if precision not in ("fp32", "fp16"):
        raise ConfigError("--via torch2trt: precision", got=precision, expected="fp32 or fp16")
    convert = _import_torch2trt()
    size = tuple(example.shape[1:])
    fewest, usual, most = ([(count, *size)] for count in batches)
    try:
        module = convert(
            network,
            [example],
            fp16_mode=precision == "fp16",
            input_names=["input"],
            output_names=["cmap", "paf"],
            min_shapes=fewest,
            opt_shapes=usual,
            max_shapes=most,
        )
        engine = bytes(module.engine.serialize())
    except Exception as e:  # of torch2trt, which calls what this TensorRT may not have
        raise EngineError(
            f"torch2trt failed: {first_line(e)}", fix="leave out --via torch2trt"
        ) from e
    return Torch2trtEngine(engine, ("input",), ("cmap", "paf"))


def _import_torch2trt() -> Any:
    """torch2trt's function, where it and a TensorRT it can drive are installed."""
    try:
        import tensorrt
    except ImportError as e:
        raise EngineError("--via torch2trt needs TensorRT", fix="leave out --via torch2trt") from e
    if gone := _gone(tensorrt):
        raise EngineError(
            "TensorRT is too new for torch2trt",
            got=f"{tensorrt.__version__}, which has no {gone} any more",
            expected="10 or older",
            fix="leave out --via torch2trt",
        )
    try:
        from torch2trt import torch2trt
    except ImportError as e:
        raise EngineError(
            "torch2trt is not installed",
            fix="install it from github.com/NVIDIA-AI-IOT/torch2trt, or leave out --via torch2trt",
        ) from e
    return torch2trt


def _gone(tensorrt: Any) -> str | None:
    """The first name torch2trt uses that this TensorRT lacks."""
    used = (
        "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
        "BuilderFlag.FP16",
        "CalibrationAlgoType.ENTROPY_CALIBRATION_2",
    )
    for name in used:
        owner, member = name.split(".")
        if not hasattr(getattr(tensorrt, owner, None), member):
            return name
    return None
