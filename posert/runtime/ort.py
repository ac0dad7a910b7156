"""The onnxruntime adapter: CPU everywhere, NVIDIA GPUs through its CUDA provider."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from posert.errors import EngineError, ModelError
from posert.model_card import ModelCard, TensorCard
from posert.runtime.cores import usable_cores
from posert.types import Float32, PoseMaps

INSTALL_CUDA = "pip uninstall onnxruntime, then pip install onnxruntime-gpu (they share a folder)"
log = logging.getLogger(__name__)


class OrtEngine:
    """An onnxruntime session of a model; thread-safe."""

    def __init__(self, card: ModelCard, session: Any, name: str, workers: int) -> None:
        self.name = name
        self.workers = workers
        self._card = card
        self._session = session
        outputs = card.outputs
        self._fetch = list(dict.fromkeys([outputs.cmap.name, outputs.paf.name]))

    def infer(self, batch: Float32) -> list[PoseMaps]:
        try:
            values = self._session.run(self._fetch, {self._card.input.name: batch})
        except Exception as e:
            raise EngineError(f"{self.name} failed: {_first_line(e)}") from e
        tensors = dict(zip(self._fetch, values, strict=True))
        cmap = self._slice(tensors, self._card.outputs.cmap, batch)
        paf = self._slice(tensors, self._card.outputs.paf, batch)
        return [PoseMaps(c, p) for c, p in zip(cmap, paf, strict=True)]

    def _slice(self, tensors: dict[str, Float32], card: TensorCard, batch: Float32) -> Float32:
        tensor = tensors[card.name]
        stride = self._card.outputs.stride
        expected = (batch.shape[2] // stride, batch.shape[3] // stride)
        if tensor.shape[1] < card.channels[1] or tensor.shape[2:] != expected:
            raise ModelError(
                f"model {self._card.name}: output {card.name!r} contradicts the card",
                got=tensor.shape,
                expected=f"{card.channels[1]} channels of {expected[0]} x {expected[1]} cells",
            )
        first, last = card.channels
        return np.asarray(tensor[:, first:last], np.float32)


def open_cpu(card: ModelCard, workers: int | None = None) -> OrtEngine:
    """One thread a call and a call a core: two cores gave 1.4 times the frames of one call on both.

    Raises:
        EngineError: onnxruntime is not installed.
        ModelError: onnxruntime refuses the ONNX.
    """
    ort = _onnxruntime()
    count = workers or usable_cores()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = _session(ort, card, options, ["CPUExecutionProvider"])
    return OrtEngine(card, session, "onnxruntime (CPU)", count)


def open_cuda(card: ModelCard, workers: int | None = None) -> OrtEngine:
    """onnxruntime's CUDA provider; two calls in flight hide the copies of one behind the other.

    Raises:
        EngineError: onnxruntime has no CUDA provider, or it does not start here.
        ModelError: onnxruntime refuses the ONNX.
    """
    ort = _onnxruntime()
    provider = "CUDAExecutionProvider"
    if provider not in ort.get_available_providers():
        raise EngineError("this onnxruntime has no CUDA provider", fix=INSTALL_CUDA)
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    session = _session(ort, card, ort.SessionOptions(), [provider])
    if provider not in session.get_providers():
        raise EngineError("onnxruntime's CUDA provider does not start here", fix="posert doctor")
    return OrtEngine(card, session, "onnxruntime (CUDA)", workers or 2)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as e:
        raise EngineError("onnxruntime is not installed", fix="pip install onnxruntime") from e
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def _session(ort: Any, card: ModelCard, options: Any, providers: list[str]) -> Any:
    try:
        return ort.InferenceSession(str(card.onnx_path), options, providers=providers)
    except Exception as e:
        raise ModelError(
            f"{card.onnx_path}: onnxruntime refuses it: {_first_line(e)}",
            fix="export the model again or compare it with its card (posert models show)",
        ) from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
