"""Engines of torch2trt as files of PoseRT's: out of its own files, or made by it now."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from posert.building.files import save
from posert.engine_builder.cache import Built, Cache, Request
from posert.engine_builder.scratch import scratch_folder
from posert.engine_builder.torch2trt import (
    Torch2trtEngine,
    convert_with_torch2trt,
    read_torch2trt,
)
from posert.errors import EngineError
from posert.gpu import first_gpu
from posert.manifest import EngineFile, Precision, Profile, installed_version
from posert.model_card import ModelCard, height_and_width
from posert.runtime.engine import open_engine

_ONE = (1, 1, 1)  # torch2trt's own choice


def import_file(path: Path, card: ModelCard, precision: Precision, output: Path) -> EngineFile:
    """The engine in ``path``, a state dict of torch2trt's, for one picture a call.

    Raises:
        ModelError: the file is none, or not of the card.
        EngineError, OutputError: of ``import_torch2trt``.
    """
    return import_torch2trt(read_torch2trt(path), card, precision, output)


def convert_file(
    path: Path,
    card: ModelCard,
    precision: Precision,
    output: Path,
    batch: tuple[int, int, int] | None = None,
) -> EngineFile:
    """The network in ``path``, a checkpoint, as torch2trt builds it.

    Raises:
        ModelError: the file is no checkpoint of a trt_pose network, or not of the card.
        ConfigError: torch2trt has no such precision.
        EngineError: PyTorch, torch2trt or TensorRT is not installed, or fails.
        OutputError: it cannot be written.
    """
    from posert.training.checkpoint import load_network

    network, example = load_network(path).on_gpu(height_and_width(card.input.size))
    engine = convert_with_torch2trt(network, example, precision, batch or _ONE)
    return import_torch2trt(engine, card, precision, output, batch or _ONE)


def import_torch2trt(
    engine: Torch2trtEngine,
    card: ModelCard,
    precision: Precision,
    path: Path,
    batch: tuple[int, int, int] = _ONE,
) -> EngineFile:
    """The engine of torch2trt as a file of PoseRT's at ``path``, if this device runs it.

    Its manifest says what was asked for, ``precision`` and ``batch``: the engine does not tell.
    It has no gate: what it was made of is not here to judge it with.

    Raises:
        EngineError: there is no GPU or TensorRT, or TensorRT refuses the engine.
        ModelError: its tensors are not those of the card.
        OutputError: it cannot be written.
    """
    version, gpu = installed_version("tensorrt"), first_gpu()
    if version is None or gpu is None:
        what = "there is no NVIDIA GPU here" if version else "TensorRT is not installed here"
        by = f" (it was built by TensorRT {engine.version})" if engine.version else ""
        raise EngineError(f"{path.stem}: {what} to run the engine with{by}", fix="posert doctor")
    height, width = height_and_width(card.input.size)
    request = Request(
        model=card.name,
        backend="tensorrt",
        form="maps",
        precision=precision,
        source_sha256="",
        line="tensorrt",
        line_version=version,
        device=gpu,
        profile=Profile(batch, (height,) * 3, (width,) * 3),
    )
    built = Built(
        engine.engine,
        onnx_sha256=sha256(engine.engine).hexdigest(),  # there is no ONNX: the engine stands for it
        flags=("torch2trt",),
        tensors=engine.names(card),
    )
    with scratch_folder() as folder:
        file = Cache(folder).get_or_build(request, lambda: built)
        open_engine(card, file, "tensorrt")
        return save(file, path)
