"""The seam to inference: the Engine protocol and the table of lazily loaded backends."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Final, Protocol

from posert.errors import EngineError, nearest
from posert.model_card import ModelCard
from posert.types import Float32, PoseMaps

log = logging.getLogger(__name__)


class Engine(Protocol):
    """A network ready to run. ``infer`` may be called from ``workers`` threads at once."""

    name: str  # backend and device, for the report
    workers: int  # threads that together keep the device busy

    def infer(self, batch: Float32) -> list[PoseMaps]:
        """Maps of each picture of ``batch``, float32 (N, 3, H, W) as the card asks.

        Raises:
            EngineError: the backend failed; its own words are in the message.
        """
        ...


# name -> (module, function taking a card and a number of threads); the order is auto's preference
BACKENDS: Final = {
    "onnxruntime-cuda": ("posert.runtime.ort", "open_cuda"),
    "onnxruntime": ("posert.runtime.ort", "open_cpu"),
}


def open_engine(card: ModelCard, backend: str = "auto", workers: int | None = None) -> Engine:
    """The engine of ``card`` on ``backend``; ``auto`` takes the first that works here.

    Raises:
        EngineError: the backend is unknown or does not work here.
        ModelError: the ONNX is refused.
    """
    if backend != "auto":
        return _open(backend, card, workers)
    reasons = []
    for name in BACKENDS:
        try:
            engine = _open(name, card, workers)
        except EngineError as e:
            log.info("not using %s: %s", name, e)
            reasons.append(str(e))
        else:
            log.info("engine: %s", engine.name)
            return engine
    raise EngineError(f"no backend works here: {'; '.join(reasons)}", fix="see: posert doctor")


def _open(backend: str, card: ModelCard, workers: int | None) -> Engine:
    if backend not in BACKENDS:
        known = ["auto", *BACKENDS]
        raise EngineError(f"backend{nearest(backend, known)}", got=backend, expected=known)
    module, function = BACKENDS[backend]
    engine: Engine = getattr(import_module(module), function)(card, workers)
    return engine
