"""Holding an engine, as it will run, against the fp32 network on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from posert.building.estimator import make_estimator
from posert.building.plan import Plan
from posert.engine_builder.gate import FP16_LIMITS, Finding, finding, judge
from posert.engine_builder.scratch import scratch_folder
from posert.manifest import Backend, EngineFile, Form, Gate
from posert.model_card import ModelCard
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine, open_engine, why_not
from posert.runtime.estimator import Estimator
from posert.settings import RunSettings
from posert.types import Image, PoseMaps


@dataclass(frozen=True)
class Judged:
    """An engine with its model around it."""

    card: ModelCard
    topology: Topology
    engine: Engine
    estimator: Estimator


Accuracy = Callable[[Judged], float]  # COCO AP of an engine: only who has labels can tell


def judge_engine(
    plan: Plan,
    engine: bytes,
    onnx: bytes,
    network: bytes,
    pictures: Sequence[Image],
    accuracy: Accuracy | None = None,
) -> Gate:
    """How near ``engine`` comes to the fp32 network on ``pictures``.

    Where this machine cannot run it, because it is for others, onnxruntime runs the final ONNX in
    its place.

    Args:
        plan: what was built.
        engine: as the backend loads it.
        onnx: the final ONNX, from which it was built.
        network: the network in its precision, without the compact form around it: of its maps.
        pictures: (H, W, 3) uint8 BGR.
        accuracy: AP on annotated pictures.

    Raises:
        OutputError: there is no room for them in the temporary folder.
    """
    settings = _settings(plan)
    # First, as what is wrong with the network is then told of its own file
    reference = _judged(plan, EngineFile(plan.card.onnx_path), "onnxruntime", settings)
    with scratch_folder() as folder:
        runs_here = not plan.targets and why_not(plan.backend) is None
        backend: Backend = plan.backend if runs_here else "onnxruntime"
        file = _written(folder, "engine", engine if runs_here else onnx, plan, plan.form)
        candidate = _judged(plan, file, backend, settings)
        theirs = list(_findings(candidate, settings, pictures))
        if plan.form == "compact" and plan.precision != "fp32":
            maps = _judged(
                plan, _written(folder, "network", network, plan, "maps"), "onnxruntime", settings
            )
            theirs = [_with_maps(f, maps, p) for f, p in zip(theirs, pictures, strict=True)]
        return judge(
            list(_findings(reference, settings, pictures)),
            theirs,
            settings.parser_settings(plan.card).threshold,
            None if plan.precision == "int8" else FP16_LIMITS,
            ap=(accuracy(reference), accuracy(candidate)) if accuracy is not None else None,
        )


def _settings(plan: Plan) -> RunSettings:
    """The network is held to the cap on peaks that the engine has, else it finds others."""
    if plan.parser is None:
        return RunSettings(input_size=plan.size)
    parser: Literal["posert", "trt_pose"] = "trt_pose" if plan.parser.reference else "posert"
    return RunSettings(input_size=plan.size, parser=parser, max_peaks=plan.parser.max_peaks)


def _written(folder: Path, name: str, data: bytes, plan: Plan, form: Form) -> EngineFile:
    path = folder / name
    path.write_bytes(data)
    return EngineFile(path, form, plan.precision, plan.profile.size)


def _judged(plan: Plan, file: EngineFile, backend: Backend, settings: RunSettings) -> Judged:
    engine = open_engine(plan.card, file, backend)
    estimator = make_estimator(plan.card, plan.topology, engine, settings)
    return Judged(plan.card, plan.topology, engine, estimator)


def _findings(
    judged: Judged, settings: RunSettings, pictures: Sequence[Image]
) -> Iterator[Finding]:
    parser = settings.parser_settings(judged.card)
    for picture in pictures:
        output, _ = judged.estimator.infer(picture)
        yield finding(output, judged.topology, parser)


def _with_maps(found: Finding, maps: Judged, picture: Image) -> Finding:
    """``found`` with the maps of the same network, which its compact form keeps to itself."""
    output, _ = maps.estimator.infer(picture)
    return replace(found, maps=output if isinstance(output, PoseMaps) else None)
