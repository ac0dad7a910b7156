"""A network with weights to ONNX, held against PyTorch's own result before it is there."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from posert.errors import ConfigError, EngineError, ModelError, OutputError, first_line
from posert.training.checkpoint import PoseNetwork
from posert.training.pytorch import import_torch

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT: Final = "input"
OUTPUTS: Final = ("cmap", "paf")
OPSETS: Final = (17, 20)  # the oldest and newest that ``export_onnx`` writes
MULTIPLE: Final = 32  # of the input's height and width: the trunk halves five times
LARGEST: Final = 4096  # pixels of a side, as everywhere
TOLERANCE: Final = 1e-4  # of the outputs' scale: sums in another order differ by 1e-6
_PYTORCHS_OPSET: Final = 18  # the oldest that PyTorch's exporter knows
_WHAT: Final = "exporting to ONNX"


def export_onnx(
    network: PoseNetwork,
    path: Path,
    size: tuple[int, int],
    opset: int = OPSETS[0],
    check: Callable[[Path], None] = lambda path: None,
) -> float:
    """Writes ``network`` to ``path`` for inputs float32 (N, 3, *size), N free, size in pixels.

    The outputs are ``cmap`` (N, C, H / 4, W / 4) and ``paf`` (N, 2K, H / 4, W / 4). ``check`` is
    given the finished file; ``path`` is written only after it, whole or not at all.

    Returns:
        The largest difference between onnxruntime's and PyTorch's outputs on random input.

    Raises:
        ConfigError: the size or the opset cannot be.
        EngineError: PyTorch or its exporter is not installed, or fails.
        ModelError: the ONNX does not compute what PyTorch computes.
        OutputError: ``path`` cannot be written.
    """
    if any(not MULTIPLE <= side <= LARGEST or side % MULTIPLE for side in size):
        expected = f"multiples of {MULTIPLE} pixels, at most {LARGEST}"
        raise ConfigError("input size", got=size, expected=expected)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ConfigError("opset", got=opset, expected=f"{OPSETS[0]} to {OPSETS[1]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            file = Path(folder) / path.name
            file.write_bytes(_traced(network, size, opset).SerializeToString())
            difference = _difference(network, file, size)
            check(file)
            file.replace(path)
    except OSError as e:
        raise OutputError(
            f"{path}: cannot be written", got=e.strerror, fix="choose another place"
        ) from e
    return difference


def _traced(network: PoseNetwork, size: tuple[int, int], opset: int) -> ModelProto:
    """The network as ONNX, without what the exporter notes of the machine it ran on."""
    torch = import_torch(_WHAT)
    from onnx import helper, version_converter

    example = torch.zeros(2, 3, *size)  # two: a batch of one would be taken for fixed
    with _quiet():
        try:
            program = torch.onnx.export(
                network.module,
                (example,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                opset_version=max(opset, _PYTORCHS_OPSET),
                dynamic_shapes=({0: "n"},),
                dynamo=True,
                verbose=False,
            )
        except ImportError as e:
            raise EngineError(f"{_WHAT} needs {e.name}", fix="pip install 'posert[train]'") from e
        except Exception as e:
            raise EngineError(f"PyTorch's exporter failed: {first_line(e)}") from e
    model: ModelProto = program.model_proto
    if opset < _PYTORCHS_OPSET:
        model = version_converter.convert_version(model, opset)
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import))
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
    model.graph.name = network.architecture
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes about itself and about packages it does not need."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _difference(network: PoseNetwork, file: Path, size: tuple[int, int]) -> float:
    """The largest difference of both outputs on random input."""
    torch = import_torch(_WHAT)
    batch = np.random.default_rng(0).normal(size=(3, 3, *size)).astype(np.float32)
    with torch.inference_mode():
        expected = [output.numpy() for output in network.module(torch.from_numpy(batch))]
    found = _run(file, batch)
    difference = max(float(np.abs(f - e).max()) for f, e in zip(found, expected, strict=True))
    scale = max(1.0, *(float(np.abs(e).max()) for e in expected))
    if not difference <= TOLERANCE * scale:  # nor if it is NaN
        raise ModelError(
            f"{network.architecture}: the ONNX does not compute what PyTorch computes",
            got=f"a difference of {difference:.2g}",
            expected=f"{TOLERANCE * scale:.2g} at most",
            fix="is the checkpoint sound? Its outputs reach "
            f"{max(float(np.abs(e).max()) for e in expected):.2g}",
        )
    return difference


def _run(file: Path, batch: Any) -> Any:
    """onnxruntime's outputs, ``cmap`` and ``paf``."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(list(OUTPUTS), {INPUT: batch})
    except Exception as e:
        raise ModelError(f"onnxruntime refuses the exported ONNX: {first_line(e)}") from e
