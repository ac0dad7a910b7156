"""Making an engine: precision, form, builder and the gate, one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from posert.building.judging import Accuracy, judge_engine
from posert.building.pictures import fingerprint, read_pictures, shipped_pictures, spread
from posert.building.plan import Plan
from posert.building.weights import source_sha256
from posert.engine_builder.cache import Built, Cache
from posert.engine_builder.compact import compact
from posert.engine_builder.onnx_check import (
    check_onnx,
    fixed_batch,
    load_onnx,
    without_functions,
)
from posert.engine_builder.precision import to_fp16
from posert.engine_builder.quantise import to_int8
from posert.engine_builder.tensorrt import (
    BuildOptions,
    build_serialized,
    known_targets,
    load_tensorrt,
)
from posert.errors import ConfigError, EngineError, ModelError, OutputError
from posert.manifest import EngineFile, Gate
from posert.runtime.preprocess import fit, normalise
from posert.settings import BuildSettings
from posert.types import Float32, Image

log = logging.getLogger(__name__)

_CALIBRATION_PICTURES = 128
_JUDGED_PICTURES = 16
_SAY_EVERY_S = 5.0


def provide(
    plan: Plan,
    build: BuildSettings,
    accuracy: Accuracy | None = None,
    spare: Callable[[], Cache] | None = None,
    *,
    anew: bool = False,
) -> EngineFile:
    """The engine of ``plan``: the ONNX as it is, from the cache, or built now and kept there.

    Args:
        plan: what is wanted.
        build: how it is built, where it is not there yet.
        accuracy: AP on annotated pictures, for the gate.
        spare: makes the place for an engine if the cache cannot be written.
        anew: build it whatever is there; what the gate refuses is not kept, other than by force.

    Raises:
        EngineError: it cannot be built, or the gate refuses it.
        ModelError: the ONNX is refused, or takes another batch only than is asked for.
        InputError: there is nothing to calibrate with.
        ConfigError: int8 without calibration.
        OutputError: the cache cannot be written, and there is no ``spare``; or there is no room
            to judge the engine in.
    """
    if plan.as_it_is:
        if build.calibration is not None:
            log.warning("calibration is left out: %s is run as it is", plan.source)
        source_sha256(plan.source)  # all its weights are there
        check_onnx(plan.card, plan.topology)
        return EngineFile(plan.source, plan.form, plan.precision, plan.profile.size)
    request = plan.request()
    pictures = _pictures(build)
    engines = Cache()
    found = None if build.force or anew else engines.find(request)
    if found is not None and _as_asked(found, build, pictures, accuracy):
        _warn_of_forced(plan, found)
        return found
    plan = _with_own_batch(plan, build)
    request = replace(request, profile=plan.profile)  # the same recipe: the batch is no part of it
    make = cache(lambda: _make(plan, build, pictures, accuracy))  # once, whatever the disk says
    try:
        return engines.get_or_build(request, make, force=build.force or anew or found is not None)
    except OutputError as e:
        calls = make.cache_info()
        if spare is None or calls.misses > calls.currsize:  # the second: making it failed so
            raise
        log.warning("%s; the engine is not kept", e)
    return spare().get_or_build(request, make)


def _pictures(build: BuildSettings) -> list[Image]:
    """What the user calibrates with; nothing where that is left to the gate's own clip."""
    if build.calibration is None:
        return []
    return read_pictures(build.calibration, _CALIBRATION_PICTURES)


def _as_asked(
    found: EngineFile, build: BuildSettings, pictures: list[Image], accuracy: Accuracy | None
) -> bool:
    """Whether what is there has this batch, these calibration pictures and an AP, where asked."""
    made = found.manifest
    if made is None:
        return False
    judged = accuracy is None or (made.gate is not None and made.gate.ap_candidate is not None)
    calibrated = found.precision != "int8" or not pictures or _mark(pictures) in made.flags
    batched = build.batch in (None, made.profile.batch)
    return judged and calibrated and batched


def _warn_of_forced(plan: Plan, found: EngineFile) -> None:
    gate = found.manifest.gate if found.manifest is not None else None
    if gate is not None and not gate.passed:
        log.warning("%s was kept by --force although %s: %s", plan, gate.reason(), found.path)


def _with_own_batch(plan: Plan, build: BuildSettings) -> Plan:
    """``plan`` with the batch of its ONNX, where that takes no other.

    Raises:
        ModelError: another batch is asked for.
    """
    only = fixed_batch(plan.card, plan.source)
    if only is None:
        return plan
    if build.batch not in (None, (only,) * 3):
        raise ModelError(
            f"{plan.source}: batch",
            got=",".join(map(str, build.batch)),
            expected=f"{only},{only},{only}, the only one it takes",
        )
    return replace(plan, profile=replace(plan.profile, batch=(only,) * 3))


def _mark(pictures: list[Image]) -> str:
    return f"calibration={fingerprint(pictures)[:16]}"


def _make(plan: Plan, build: BuildSettings, given: list[Image], accuracy: Accuracy | None) -> Built:
    """The engine and how good it is.

    Raises:
        EngineError: the gate refuses it.
    """
    if plan.targets:  # refused before anything is said to be built
        known_targets(load_tensorrt("tensorrt-rtx"), plan.targets)
    log.info("building %s, once", plan)
    check_onnx(plan.card, plan.topology)
    pictures = given or shipped_pictures(_JUDGED_PICTURES)
    network = _in_precision(plan, given)
    onnx = _in_form(plan, network).SerializeToString()
    engine, flags = (onnx, ()) if plan.line == "onnxruntime" else _by_tensorrt(plan, build, onnx)
    judged = [pictures[i] for i in spread(_JUDGED_PICTURES, len(pictures))]
    maps = network.SerializeToString()
    gate = judge_engine(plan, engine, onnx, maps, judged, accuracy)
    if gate.people == 0:
        log.warning("nobody is seen in the pictures %s is judged with: --calibration", plan)
    _pass(plan, gate, build.force)
    if plan.precision == "int8" and given:
        flags = (*flags, _mark(given))
    tools = {name: version(name) for name in ("onnx", "numpy")}
    return Built(engine, sha256(onnx).hexdigest(), flags, gate, tools)


def _in_precision(plan: Plan, pictures: list[Image]) -> Any:
    """The network in the plan's precision, float32 at its ends."""
    network = without_functions(load_onnx(plan.source))
    if plan.precision == plan.source_precision:
        return network
    if plan.precision == "fp16":
        return to_fp16(network)
    if not pictures:
        raise ConfigError(
            f"int8 of {plan.card.name}: there is nothing to calibrate with",
            fix="posert build-engine MODEL --precision int8 --calibration FOLDER_OR_VIDEO",
        )
    count = len(pictures)
    log.info("calibrating with %d picture%s", count, "" if count == 1 else "s")
    return to_int8(
        network,
        (_input(plan, picture) for picture in pictures),
        target="cpu" if plan.backend == "onnxruntime" else "tensorrt",
    )


def _input(plan: Plan, picture: Image) -> Float32:
    """A picture as the fp32 network's input, float32 (1, 3, H, W)."""
    card = plan.card
    frame, _ = fit(picture, card.input, plan.size, card.outputs.stride)
    return normalise(frame[None], card.input)


def _in_form(plan: Plan, network: Any) -> Any:
    if plan.parser is None:
        return network
    return compact(network, plan.card, plan.topology, plan.parser, size=plan.profile.size)


def _by_tensorrt(plan: Plan, build: BuildSettings, onnx: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The serialised engine, and the flags it was built with."""
    trt = load_tensorrt("tensorrt" if plan.line == "tensorrt" else "tensorrt-rtx")
    options = BuildOptions(plan.precision, plan.targets)
    engine = build_serialized(
        trt, onnx, plan.profile, options, timing_cache=build.timing_cache, progress=_Progress()
    )
    return engine, (*trt.creation_flags, *trt.builder_flags(plan.precision))


class _Progress:
    """A line every few seconds of a build that takes minutes."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, phase: str, done: float) -> None:
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self._said = time.monotonic()
            log.info("TensorRT: %s, %.0f %%", phase, 100 * done)


def _pass(plan: Plan, gate: Gate, force: bool) -> None:
    """Refuse what the gate refuses, unless it is forced; both are said."""
    if gate.passed:
        return
    if not force:
        raise EngineError(
            f"{plan} is refused: {gate.reason()}",
            fix="calibrate with other pictures, take a higher precision, or --force",
        )
    log.warning("%s is kept by --force although %s", plan, gate.reason())
