"""Whole runs: of files as ``posert run`` takes them, and of made-up sources."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from posert.bench.made import Camera, Predecoded
from posert.bench.plan import Plan
from posert.bench.results import Kind, RunCost, Spread, StageCost
from posert.bench.stages import Decoded
from posert.bench.usage import Arrivals, Usage, watched
from posert.errors import EngineError
from posert.jobs import Work
from posert.pose import Pose
from posert.running import OneProcess, run_settings
from posert.runtime.cores import usable_cores
from posert.runtime.engine import on_cpu
from posert.runtime.sources.source import Source
from posert.runtime.stream import Tally
from posert.settings import RunSettings, SourceSettings

# what is done to a frame of each kind of run, decoding and writing aside
_ALWAYS: Final = frozenset({"engine", "parse", "track", "smooth"})
_DATA: Final = frozenset({"data"})
_VIDEO: Final = frozenset({"draw", "encode"})


@dataclass(slots=True)
class Ran:
    """What a run came to."""

    tallies: list[Tally]
    usage: Usage
    arrivals: Arrivals

    @property
    def frames(self) -> int:
        return sum(tally.frames for tally in self.tallies)


def run_files(clip: Path, settings: RunSettings, plan: Plan, streams: int, folder: Path) -> Ran:
    """``posert run`` of one clip under so many names, to videos or to JSON lines."""
    names = [folder / f"{n + 1}{clip.suffix}" for n in range(streams)]
    for name in names:
        if not name.is_symlink():
            name.symlink_to(clip.absolute())
    out = folder / "out"
    out.mkdir(exist_ok=True)
    chosen = replace(
        settings,
        max_frames=plan.each("files", streams),
        jsonl=out / "people.jsonl" if plan.data_only else None,
        output=None if plan.data_only else out,
    )
    arrivals = Arrivals()
    with watched() as usage:
        report = run_settings(list(map(str, names)), chosen, threading.Event(), arrivals)
    if report.failure is not None:
        raise report.failure
    usage.seconds = report.seconds  # the model was loaded before
    return Ran(list(report.sources), usage, arrivals)


def run_made(
    kind: Kind, decoded: Decoded, settings: RunSettings, plan: Plan, streams: int,
    folder: Path,
) -> Ran:  # fmt: skip
    """So many made-up sources; the rest is as in ``posert run`` in one process."""
    sources = _made(kind, decoded, plan, streams)
    chosen = replace(
        settings,
        max_frames=plan.each(kind, streams),
        at_once=settings.at_once or streams,
        jsonl=folder / "made.jsonl" if plan.data_only else None,
    )
    work = [
        _work(n, source, None if plan.data_only else folder / f"made-{n}.mp4")
        for n, source in enumerate(sources)
    ]
    part, arrivals = OneProcess(work, chosen), Arrivals()
    with watched() as usage:
        part.run(threading.Event(), arrivals, alive=lambda: None)
    return Ran([each.tally for each in work], usage, arrivals)


def cost_of(
    ran: Ran, kind: Kind, plan: Plan, streams: int, alone: list[StageCost], pose: Pose,
    gpus: int = 1,
) -> RunCost:  # fmt: skip
    """What a run came to, beside the stages alone of the same round."""
    for tally in ran.tallies:
        if tally.error is not None:
            raise tally.error
    offered = streams * plan.rate if kind == "live" else None
    if offered is not None:
        fps = offered * ran.frames / (streams * plan.each(kind, streams))
    else:
        fps = ran.frames / ran.usage.seconds
    ideal = ideal_fps(kind, alone, pose, gpus, data_only=plan.data_only)
    engine = best_engine(alone, pose)
    return RunCost(
        kind=kind,
        streams=streams,
        frames=ran.frames,
        frames_per_second=fps,
        steady_fps=ran.arrivals.steady_fps,
        ideal_fps=ideal,
        ratio=fps / min(ideal, offered or ideal),
        offered_fps=offered,
        dropped=sum(tally.dropped for tally in ran.tallies),
        interval=Spread.of(ran.arrivals.intervals_s),
        latency=Spread.of(list(chain.from_iterable(tally.ages_s for tally in ran.tallies))),
        cpu_ms=ran.arrivals.cpu_ms + 1e3 * ran.usage.children_s / max(1, ran.frames),
        cores_used=ran.arrivals.cores + ran.usage.children_s / ran.usage.seconds,
        engine_busy=ran.arrivals.steady_fps / (gpus * engine.frames_per_second),
        peak_memory_mb=ran.usage.peak_memory_mb,
        gpus=ran.usage.gpus,
    )


def ideal_fps(
    kind: Kind, alone: list[StageCost], pose: Pose, gpus: int = 1, *, data_only: bool
) -> float:
    """Cores over the CPU seconds a frame of all stages; no more than ``gpus`` infer and decode."""
    counted = _ALWAYS | (_DATA if data_only else _VIDEO)
    counted |= {"decode"} if kind == "files" else set()
    engine = best_engine(alone, pose)
    used = [cost for cost in alone if cost.stage in counted and cost.stage != "engine"]
    ideal = 1e3 * usable_cores() / sum(cost.cpu_ms for cost in (*used, engine))
    if on_cpu(pose.engine):
        return ideal
    on_gpus = [engine, *(cost for cost in used if cost.stage == "decode" and cost.threads > 1)]
    return min(ideal, *(gpus * cost.frames_per_second for cost in on_gpus))


def best_engine(alone: list[StageCost], pose: Pose) -> StageCost:
    """The engine with the batch that serves it best, as a run of many streams uses it."""
    for cost in alone:
        if cost.stage == "engine" and cost.batch == pose.engine.batch:
            return cost
    raise EngineError(f"{pose.engine.name}: its batch of {pose.engine.batch} was not measured")


def _made(kind: Kind, decoded: Decoded, plan: Plan, streams: int) -> list[Source]:
    if kind == "predecoded":
        return [Predecoded(f"{kind} {n}", decoded) for n in range(streams)]
    each = plan.each(kind, streams)
    return [Camera(f"{kind} {n}", decoded, plan.rate, each, n / streams) for n in range(streams)]


def _work(number: int, source: Source, output: Path | None) -> Work:
    tally = Tally(source.info.name, live=source.info.live)
    return Work(number, SourceSettings(source.info.name), tally, output, lambda: source)
