"""Engines made ahead of time: one call from a model to the fastest engine of a device."""

from __future__ import annotations

import logging
import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from posert.building.build import provide
from posert.building.files import ENDING, check_ending, save
from posert.building.judging import Accuracy, Judged
from posert.building.plan import Plan, make_plan
from posert.building.torch2trt import convert_file, import_file
from posert.engine_builder.card import find_card, read_topology, verify_files
from posert.errors import ConfigError, EngineError, InputError, ModelError
from posert.evaluate import evaluate
from posert.manifest import Backend, EngineFile
from posert.runtime.engine import BACKENDS, check_backend, why_not
from posert.settings import BuildSettings, RunSettings, read_build_settings, read_settings

log = logging.getLogger(__name__)

_TORCH: Final = ".pth"
_CARD: Final = "trt-pose-resnet18-224"  # the model that torch2trt's files in the world are of
_OF_ENGINES: Final = (
    "model", "backend", "precision", "form", "input_size", "parser", "max_peaks", "threshold",
)  # fmt: skip


def build_engine(
    model: str | Path = "pose-small",
    *,
    batch: tuple[int, int, int] | None = None,
    calibration: str | Path | None = None,
    annotations: str | Path | None = None,
    targets: tuple[str, ...] = (),
    timing_cache: str | Path | None = None,
    force: bool = False,
    output: str | Path | None = None,
    card: str | None = None,
    via: str | None = None,
    **settings: Any,
) -> EngineFile:
    """The engine of ``model`` for this device: from the cache, or built, judged and kept there.

    Example::

        file = posert.build_engine("pose-small", precision="fp16", batch=(1, 8, 32))
        print(file.path, file.manifest.gate)

    Args:
        model: a name that ``posert models`` lists, a model's folder, its card.yaml or its ONNX;
            or a file of torch2trt, .pth, whose engine is then made a file of PoseRT's: what was
            built elsewhere is not judged.
        batch: least, most frequent and largest number of pictures a call; 1, 4, 16 if left out.
        calibration: a folder of pictures or a video, for int8 and for the gate; the gate takes
            the shipped clip without it.
        annotations: COCO keypoints of the pictures in ``calibration``: AP is judged as well.
        targets: compute capabilities such as "8.9", TensorRT-RTX only; else the GPU that is here.
        timing_cache: TensorRT's, read and written.
        force: build anew, and keep what the gate refuses.
        output: a copy for elsewhere, .engine; of a .pth, by default, the file beside it.
        card: the model a .pth is of, trt-pose-resnet18-224 if left out.
        via: "torch2trt" has it convert a checkpoint, .pth.
        settings: fields of ``posert.RunSettings`` that an engine depends on: backend, precision,
            form, input_size, parser, max_peaks, threshold.

    Raises:
        EngineError: the backend does not work here, the build fails, or the gate refuses it.
        ModelError: the model is refused.
        InputError: there is nothing to calibrate with.
        ConfigError: a setting is wrong.
        OutputError: the cache cannot be written.
    """
    chosen = read_settings(None, {**settings, "model": str(model)})
    given = {
        "batch": batch, "calibration": calibration, "annotations": annotations,
        "targets": targets, "timing_cache": timing_cache, "force": force,
    }  # fmt: skip
    build = read_build_settings(given)
    if output is not None:
        check_ending(Path(output))  # before minutes of building
    if chosen.model.endswith(_TORCH):
        return _from_torch(chosen, build, card or _CARD, via, output)
    _check(chosen, card, via)
    file = _built(chosen, build)
    return save(file, Path(output)) if output is not None else file


def _check(chosen: RunSettings, card: str | None, via: str | None) -> None:
    """Refuse what would be left out without a word."""
    if chosen.model.endswith(ENDING):
        expected = "the model it is to be made of: a name, folder, card.yaml or .onnx"
        raise ModelError(f"{chosen.model}: is an engine already", expected=expected)
    for name, text in {"card": card, "via": via}.items():
        if text is not None:
            raise ConfigError(name, got=text, expected=f"a checkpoint, {_TORCH}, as the model")
    for name, value in _set(chosen).items():
        if name not in _OF_ENGINES:
            expected = f"a setting that engines depend on: {', '.join(_OF_ENGINES[1:])}"
            raise ConfigError(name, got=value, expected=expected)


def _set(settings: RunSettings | BuildSettings) -> dict[str, object]:
    """What is not left at its default."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {f.name: values[f.name] for f in fields(settings) if values[f.name] != f.default}


def _from_torch(
    chosen: RunSettings, build: BuildSettings, card: str, via: str | None, output: str | Path | None
) -> EngineFile:
    """An engine of torch2trt, out of its file or made by it now."""
    path = Path(chosen.model)
    if via not in (None, "torch2trt"):
        raise ConfigError("via", got=via, expected="torch2trt")
    used = {"model", "precision", *(("batch",) if via else ())}
    for name, value in {**_set(chosen), **_set(build)}.items():
        if name not in used:
            expected = "none: the engine in the file is built already" if via is None else "none"
            raise ConfigError(f"{path}: {name}", got=value, expected=expected)
    precision = "fp16" if chosen.precision == "auto" else chosen.precision
    target = Path(output) if output is not None else path.with_suffix(ENDING)
    model = find_card(card)
    if via is None:
        return import_file(path, model, precision, target)
    return convert_file(path, model, precision, target, build.batch)


def _built(chosen: RunSettings, build: BuildSettings) -> EngineFile:
    card = find_card(chosen.model)
    topology = read_topology(card.topology_path)
    verify_files(card)
    backend = _backend(chosen.backend, build.targets)
    plan = make_plan(card, topology, backend, chosen, build)
    _tell_of_unused(plan, chosen, build)
    return provide(plan, build, _accuracy(build))


def _tell_of_unused(plan: Plan, chosen: RunSettings, build: BuildSettings) -> None:
    """One line for each option that this engine has no use for."""
    if plan.as_it_is and build.batch is not None:
        log.warning("batch is left out: %s is run as it is, with any", plan.source)
    if plan.line != "tensorrt" and build.timing_cache is not None:
        log.warning("timing_cache is left out: only tensorrt measures, this is %s", plan.backend)
    if plan.parser is None and chosen.max_peaks is not None:
        log.warning("max_peaks is left out: it is built into the compact form alone")


def _backend(wanted: str, targets: tuple[str, ...]) -> Backend:
    """``wanted``, or the best that works here; for named targets that is TensorRT-RTX."""
    if wanted != "auto":
        return check_backend(wanted)
    if targets:
        return "tensorrt-rtx"
    reasons = {backend: why_not(backend) for backend in BACKENDS}
    for backend, reason in reasons.items():
        if reason is None:
            return backend
    told = "; ".join(f"{backend}: {reason}" for backend, reason in reasons.items())
    raise EngineError(f"no backend works here ({told})", fix="see: posert doctor")


def _accuracy(build: BuildSettings) -> Accuracy | None:
    """AP of an engine on the annotated calibration pictures.

    Raises:
        InputError: there are no annotations.
    """
    annotations, images = build.annotations, build.calibration
    if annotations is None or images is None:
        return None
    if not os.path.isfile(annotations):  # told before minutes of building
        raise InputError(f"{annotations}: no such file", expected="COCO keypoints")

    def accuracy(judged: Judged) -> float:
        return evaluate(judged, annotations, images).metrics["AP"]

    return accuracy
