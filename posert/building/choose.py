"""The best engine that works here, for whoever wants to run one."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from posert.building.build import provide
from posert.building.files import ENDING, open_file
from posert.building.plan import Plan, make_plan
from posert.engine_builder.cache import Cache
from posert.engine_builder.card import verify_files
from posert.engine_builder.scratch import scratch_folder
from posert.engine_builder.tensorrt import load_tensorrt
from posert.errors import EngineError, ModelError
from posert.gpu import first_gpu
from posert.manifest import Backend, installed_version
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
        backend = check_backend(settings.backend)
        verify_files(card)
        _refuse_absent(backend)
        return _open(backend, card, topology, settings)
    verify_files(card)
    reasons: list[str] = []
    for backend in BACKENDS:
        reason = why_not(backend)
        if reason is None:
            try:
                _tell_of_gpu(backend, reasons)
                return _open(backend, card, topology, settings)
            except EngineError as e:
                reason = str(e)
                log.warning("not using %s: %s", backend, reason)
        reasons.append(f"{backend}: {reason}")
    raise EngineError(f"no engine works here ({'; '.join(reasons)})", fix="see: posert doctor")


def _refuse_absent(backend: Backend) -> None:
    """Refuse a backend that cannot work here, with how to get it."""
    reason = why_not(backend)
    if reason is None:
        return
    if backend in ("tensorrt", "tensorrt-rtx") and installed_version(backend) is None:
        load_tensorrt(backend)  # says how to get it
    raise EngineError(f"{backend} does not work here: {reason}", fix="see: posert doctor")


def _tell_of_gpu(backend: Backend, reasons: list[str]) -> None:
    """That a GPU stays idle is not to be found out by its user."""
    if backend == "onnxruntime" and reasons and (gpu := first_gpu()) is not None:
        log.warning("the CPU is used although there is an %s: %s", gpu.name, "; ".join(reasons))


def _open(backend: Backend, card: ModelCard, topology: Topology, settings: RunSettings) -> Engine:
    """The engine of the form that is asked for; ``auto`` takes maps where compact cannot be had."""
    plan = make_plan(card, topology, backend, settings, BuildSettings())
    if settings.form != "auto" or plan.form == "maps":
        return _provided(plan, settings.workers)
    try:
        return _provided(plan, settings.workers)
    except (EngineError, ModelError) as e:
        reason = str(e).partition("; ")[0]
    maps = make_plan(card, topology, backend, replace(settings, form="maps"), BuildSettings())
    engine = _provided(maps, settings.workers)  # what it is refused for is told in its place
    log.warning("taking the maps form, as --form maps does at once: %s", reason)
    return engine


def _provided(plan: Plan, workers: int | None) -> Engine:
    """The engine of ``plan``, opened; one that TensorRT no longer takes is built again, once."""
    build = BuildSettings()
    with ExitStack() as stack:  # engines are read when they are opened

        def spare() -> Cache:
            return Cache(stack.enter_context(scratch_folder()))

        file = provide(plan, build, spare=spare)
        try:
            return open_engine(plan.card, file, plan.backend, workers)
        except EngineError as e:
            if plan.line == "onnxruntime":
                raise
            log.warning("%s; building it again", str(e).partition("; ")[0])
        file = provide(plan, build, spare=spare, anew=True)
        return open_engine(plan.card, file, plan.backend, workers)
