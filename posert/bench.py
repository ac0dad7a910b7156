"""How fast each stage is alone, how fast they are together, and how near that is to the ideal.

The ideal is cores / (CPU seconds a frame of all stages, each measured alone): no pipeline can be
faster without doing less work. Stages and whole runs take turns in one process, so that a noisy
machine disturbs both alike.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from posert.errors import InputError
from posert.pose import Pose
from posert.postprocess.draw import draw_people
from posert.running import run_settings
from posert.runtime.cores import usable_cores
from posert.runtime.sinks.video import VideoWriter
from posert.runtime.sources.inputs import is_picture
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.settings import RunSettings
from posert.types import Frame, Image, People, PoseOutput, SourceInfo

T = TypeVar("T")

_DISTINCT = 48  # decoded frames kept to feed the stages; 300 MB at 1080p


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage alone, milliseconds a frame."""

    stage: str
    cpu_ms: float  # CPU time of all its threads
    p50_ms: float  # on the clock
    p95_ms: float


@dataclass(frozen=True)
class Bench:
    """Medians over the rounds."""

    clip: str
    size: tuple[int, int]  # width, height
    frames: int  # of each round
    rounds: int
    cores: int
    engine: str
    stages: tuple[StageCost, ...]
    ideal_fps: float
    achieved_fps: float
    ratio: float  # achieved / ideal, the median of the rounds' ratios
    latency_p50_ms: float  # time between two frames of whole runs
    latency_p95_ms: float

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return asdict(self)


def bench(
    clip: Path,
    settings: RunSettings,
    frames: int = 120,
    rounds: int = 3,
) -> Bench:
    """Measures ``frames`` frames of a video file, ``rounds`` times over.

    Raises:
        InputError: the clip has no frames.
        PosertError: a stage failed.
    """
    if is_picture(str(clip)):
        raise InputError(f"{clip}: is a picture", expected="a video file")
    source = VideoFile(clip)
    source.close()
    pose = Pose(**vars(settings))
    cores = usable_cores()
    costs: list[tuple[StageCost, ...]] = []
    achieved: list[float] = []
    intervals: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bench.mp4"
        for _ in range(rounds):
            costs.append(tuple(_each_stage(clip, pose, settings, frames, target)))
            fps, between = _whole_run(clip, settings, frames, target)
            achieved.append(fps)
            intervals += between
    ideals = [1e3 * cores / sum(stage.cpu_ms for stage in stages) for stages in costs]
    ratios = [fps / ideal for fps, ideal in zip(achieved, ideals, strict=True)]
    return Bench(
        clip=clip.name,
        size=(source.info.width, source.info.height),
        frames=frames,
        rounds=rounds,
        cores=cores,
        engine=pose.engine.name,
        stages=tuple(_median(same) for same in zip(*costs, strict=True)),
        ideal_fps=float(np.median(ideals)),
        achieved_fps=float(np.median(achieved)),
        ratio=float(np.median(ratios)),
        latency_p50_ms=1e3 * float(np.percentile(intervals, 50)),
        latency_p95_ms=1e3 * float(np.percentile(intervals, 95)),
    )


def _each_stage(
    clip: Path, pose: Pose, settings: RunSettings, count: int, target: Path
) -> Iterator[StageCost]:
    """Every stage alone in one thread, over the same pictures."""
    cost, images, info = _decode(clip, count)
    yield cost
    outputs: list[PoseOutput] = []
    yield _timed("engine", lambda i: outputs.append(pose.estimator.infer(i)[0]), images, count)
    kept = outputs[: len(images)]
    yield _timed("parse", lambda output: pose.estimator.parse([output]), kept, count)
    found = [(image, pose.estimator(image)) for image in images]
    style = settings.draw_style

    def draw(pair: tuple[Image, People]) -> Image:
        return draw_people(pair[0], pair[1], pose.topology, style)

    yield _timed("draw", draw, found, count)
    yield _encode([draw(pair) for pair in found], info, settings, count, target)


def _decode(clip: Path, count: int) -> tuple[StageCost, list[Image], SourceInfo]:
    source = VideoFile(clip)
    images: list[Image] = []

    def keep(frame: Frame) -> None:
        if len(images) < _DISTINCT:
            images.append(frame.image)

    cost = _measure("decode", source.frames(Span(max_frames=count)), keep)
    source.close()
    if not images:
        raise InputError(f"{clip}: holds no frame")
    return cost, images, source.info


def _encode(
    images: list[Image], info: SourceInfo, settings: RunSettings, count: int, target: Path
) -> StageCost:
    step = max(1, round(1 / (info.rate * info.time_base)))
    writer = VideoWriter(target, info, settings.encoder)
    began = time.process_time()
    turns = enumerate(islice(cycle(images), count))
    cost = _measure("encode", turns, lambda turn: writer.write(turn[1], turn[0] * step))
    writer.close()  # the encoder's look-ahead is emptied here: it counts too
    cpu_ms = 1e3 * (time.process_time() - began) / count
    return StageCost("encode", cpu_ms, cost.p50_ms, cost.p95_ms)


def _timed(stage: str, work: Callable[[T], object], items: list[T], count: int) -> StageCost:
    work(items[0])  # first calls allocate and compile
    return _measure(stage, islice(cycle(items), count), work)


def _measure(stage: str, items: Iterable[T], work: Callable[[T], object]) -> StageCost:
    """Takes and works on every item; the taking counts, for sources are iterators."""
    clock: list[float] = []
    cpu = time.process_time()
    last = time.perf_counter()
    for item in items:
        work(item)
        now = time.perf_counter()
        clock.append(now - last)
        last = now
    cpu_ms = 1e3 * (time.process_time() - cpu) / max(1, len(clock))
    p50, p95 = np.percentile(clock or [0.0], [50, 95]) * 1e3
    return StageCost(stage, cpu_ms, float(p50), float(p95))


def _whole_run(
    clip: Path, settings: RunSettings, count: int, target: Path
) -> tuple[float, list[float]]:
    """Frames/s of a run from decoding to the closed file, and the times between its frames."""
    from dataclasses import replace

    arrivals: list[float] = []
    chosen = replace(settings, output=target, max_frames=count)
    report = run_settings(
        [str(clip)], chosen, threading.Event(), lambda tally: arrivals.append(time.perf_counter())
    )
    for tally in report.sources:
        if tally.error is not None:
            raise tally.error
    return report.frames_per_second, np.diff(arrivals).tolist()


def _median(same: tuple[StageCost, ...]) -> StageCost:
    """The median of one stage over the rounds."""
    numbers = np.median([(c.cpu_ms, c.p50_ms, c.p95_ms) for c in same], axis=0)
    return StageCost(same[0].stage, *(float(n) for n in numbers))
