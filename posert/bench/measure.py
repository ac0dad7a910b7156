"""One measurement: rounds in which stages and whole runs take turns."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from posert.bench.environment import environment
from posert.bench.plan import Plan
from posert.bench.results import Bench, Kind, RunCost, StageCost, median_of
from posert.bench.stages import Decoded, decode, other_stages
from posert.bench.usage import give_back
from posert.bench.whole import cost_of, run_files, run_made
from posert.errors import InputError
from posert.pose import Pose
from posert.runtime.cores import usable_cores
from posert.runtime.engine import on_cpu
from posert.runtime.sources.addresses import is_address
from posert.runtime.sources.inputs import is_picture
from posert.settings import RunSettings
from posert.workers.shares import chosen_gpus

log = logging.getLogger(__name__)

FULL: Final = 0.9  # of the frames that live sources offer; with less delivered, a stage is full
_DOUBLED: Final = tuple(2**n for n in range(11))


def bench(clip: Path, settings: RunSettings, plan: Plan | None = None) -> Bench:
    """Measures ``plan`` on a video file.

    Raises:
        InputError: the clip is no video file or has no frames.
        PosertError: a stage failed.
    """
    plan = plan or Plan()
    if is_picture(str(clip)) or is_address(str(clip)):
        raise InputError(f"{clip}: is no video", expected="a video file")
    pose = Pose(**vars(settings))
    if (settings.processes or 1) > 1 and plan.kinds != ("files",) and on_cpu(pose.engine):
        log.warning("processes has no effect: made-up sources run in one process on a CPU")
    stages: list[list[StageCost]] = []
    runs: list[RunCost] = []
    for _ in range(plan.rounds):
        with tempfile.TemporaryDirectory() as folder:
            cost, decoded = decode(clip, pose, settings, plan.alone)
            alone = [cost, *other_stages(decoded, pose, settings, plan, Path(folder))]
            stages.append(alone)
            if plan.kinds == ("files",):  # what is not needed is not to count as a run's memory
                decoded = replace(decoded, frames=[])
            for kind in plan.kinds:
                how = kind, clip, decoded, settings, plan, Path(folder), alone, pose
                runs += _over_streams(plan, kind, partial(_run, *how))
    return Bench(
        clip=clip.name,
        size=(decoded.info.width, decoded.info.height),
        frames=plan.frames,
        rounds=plan.rounds,
        model=pose.card.name,
        engine=pose.engine.name,
        input_size=pose.estimator.size,
        cores=usable_cores(),
        processes=settings.processes,
        at_once=settings.at_once,
        stages=tuple(median_of(same) for same in zip(*stages, strict=True)),
        runs=tuple(median_of(same) for same in _same(runs)),
        environment=environment(),
    )


def _run(
    kind: Kind, clip: Path, decoded: Decoded, settings: RunSettings, plan: Plan,
    folder: Path, alone: list[StageCost], pose: Pose, streams: int,
) -> RunCost:  # fmt: skip
    give_back()
    if kind == "files":
        ran = run_files(clip, settings, plan, streams, folder)
        gpus = max(1, min(streams, len(chosen_gpus(settings))))
    else:
        ran, gpus = run_made(kind, decoded, settings, plan, streams, folder), 1
    return cost_of(ran, kind, plan, streams, alone, pose, gpus)


def _over_streams(plan: Plan, kind: Kind, run: Callable[[int], RunCost]) -> Iterator[RunCost]:
    """The counts asked for; of live sources, where none are, doubled until two were too many."""
    search = kind == "live" and plan.streams is None
    too_many = 0
    for streams in _DOUBLED if search else plan.streams or (1,):
        cost = run(streams)
        yield cost
        too_many += cost.frames_per_second < FULL * (cost.offered_fps or 0.0)
        if search and too_many == 2:
            return


def _same(runs: list[RunCost]) -> Iterator[list[RunCost]]:
    """Those of all rounds that are of one kind and number of streams, together."""
    for key in dict.fromkeys((run.kind, run.streams) for run in runs):
        yield [run for run in runs if (run.kind, run.streams) == key]
