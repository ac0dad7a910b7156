"""The best engine that works here, for whoever wants to run one."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from posert.building.build import provide
from posert.building.files import ENDING, open_file
from posert.building.plan import make_plan
from posert.engine_builder.cache import Cache
from posert.engine_builder.card import verify_files
from posert.errors import EngineError, OutputError
from posert.gpu import first_gpu
from posert.manifest import Backend
from posert.model_card import ModelCard
from posert.postprocess.topology import Topology
from posert.runtime.engine import BACKENDS, Engine, check_backend, open_engine, why_not
from posert.settings import BuildSettings, RunSettings

log = logging.getLogger(__name__)


def open_best(card: ModelCard, topology: Topology, settings: RunSettings) -> Engine:
    """The engine that ``settings`` ask for; ``auto`` takes the first backend that works here.

    An engine that is not there yet is built, which is said, and kept in the cache.

    Raises:
        EngineError: no backend works here, or the one that is asked for does not.
        ModelError: the ONNX is refused.
    """
    if settings.model.endswith(ENDING):
        return open_file(Path(settings.model), card, settings)
    if settings.backend != "auto":
        check_backend(settings.backend)
    verify_files(card)
    reasons: list[str] = []
    for backend in BACKENDS:
        if settings.backend not in ("auto", backend):
            continue
        reason = why_not(backend)
        if reason is None:
            try:
                _tell_of_gpu(backend, reasons)
                return _open(backend, card, topology, settings)
            except EngineError as e:
                if settings.backend != "auto":
                    raise
                reason = str(e)
                log.warning("not using %s: %s", backend, reason)
        reasons.append(f"{backend}: {reason}")
    raise EngineError(f"no engine works here ({'; '.join(reasons)})", fix="see: posert doctor")


def _tell_of_gpu(backend: Backend, reasons: list[str]) -> None:
    """That a GPU stays idle is not to be found out by its user."""
    if backend == "onnxruntime" and reasons and (gpu := first_gpu()) is not None:
        log.warning("the CPU is used although there is an %s: %s", gpu.name, "; ".join(reasons))


def _open(backend: Backend, card: ModelCard, topology: Topology, settings: RunSettings) -> Engine:
    build = BuildSettings()
    plan = make_plan(card, topology, backend, settings, build)
    try:
        return open_engine(card, provide(plan, build), backend, settings.workers)
    except OutputError as e:
        log.warning("%s; the engine is not kept", e)
    with TemporaryDirectory() as folder:  # engines are read when they are opened
        file = provide(plan, build, cache=Cache(Path(folder)))
        return open_engine(card, file, backend, settings.workers)
