"""Engines made ahead of time: one call from a model to the fastest engine of a device."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from posert.building.build import provide
from posert.building.files import ENDING
from posert.building.judging import Accuracy, Judged
from posert.building.plan import make_plan
from posert.engine_builder.card import find_card, read_topology, verify_files
from posert.errors import EngineError, InputError, ModelError
from posert.evaluate import evaluate
from posert.manifest import Backend, EngineFile
from posert.runtime.engine import BACKENDS, check_backend, why_not
from posert.settings import BuildSettings, read_build_settings, read_settings


def build_engine(
    model: str | Path = "pose-small",
    *,
    batch: tuple[int, int, int] | None = None,
    calibration: str | Path | None = None,
    annotations: str | Path | None = None,
    targets: tuple[str, ...] = (),
    timing_cache: str | Path | None = None,
    force: bool = False,
    **settings: Any,
) -> EngineFile:
    """The engine of ``model`` for this device: from the cache, or built, judged and kept there.

    Example::

        file = posert.build_engine("pose-small", precision="fp16", batch=(1, 8, 32))
        print(file.path, file.manifest.gate)

    Args:
        model: a name that ``posert models`` lists, a model's folder, its card.yaml or its ONNX.
        batch: least, most frequent and largest number of pictures a call; 1, 4, 16 if left out.
        calibration: a folder of pictures or a video, for int8 and for the gate; the gate takes
            the shipped clip without it.
        annotations: COCO keypoints of the pictures in ``calibration``: AP is judged as well.
        targets: compute capabilities such as "8.9", TensorRT-RTX only; else the GPU that is here.
        timing_cache: TensorRT's, read and written.
        force: build anew, and keep what the gate refuses.
        settings: fields of ``posert.RunSettings`` that an engine depends on: backend, precision,
            form, input_size, parser, max_peaks, ...

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
    if chosen.model.endswith(ENDING):
        expected = "the model it is to be made of: a name, folder, card.yaml or .onnx"
        raise ModelError(f"{chosen.model}: is an engine already", expected=expected)
    card = find_card(chosen.model)
    topology = read_topology(card.topology_path)
    verify_files(card)
    backend = _backend(chosen.backend, build.targets)
    plan = make_plan(card, topology, backend, chosen, build)
    return provide(plan, build, _accuracy(build))


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
