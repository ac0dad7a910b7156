"""Every stage alone, over the same pictures, as a whole run calls it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from posert.bench.plan import Plan
from posert.bench.results import Spread, StageCost
from posert.errors import EngineError, InputError
from posert.pose import Pose
from posert.postprocess.draw import Painter
from posert.postprocess.smooth import Smoother
from posert.postprocess.track import Tracker
from posert.running import FILES_ON_DEVICE
from posert.runtime.engine import device_engine, on_cpu
from posert.runtime.sinks import data_sinks, video_writer
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Reading, Span
from posert.settings import RunSettings, SourceSettings
from posert.types import Frame, Image, People, Result, SourceInfo

log = logging.getLogger(__name__)

T = TypeVar("T")

_LEAST_S: Final = 1.0  # threads that have just begun are slower
_DISTINCT: Final = 48  # decoded frames kept to feed the stages; 300 MB at 1080p


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The first frames of a clip, where the engine takes them: on its device or in memory."""

    info: SourceInfo
    frames: list[Frame]


def decode(clip: Path, pose: Pose, settings: RunSettings, count: int) -> tuple[StageCost, Decoded]:
    """Decodes ``count`` frames, and keeps some; frames/s on a GPU are of many decoders at once.

    Raises:
        InputError: the clip holds no frame.
    """
    reading = replace(settings.reading, on_device=device_engine(pose.engine) is not None)
    source = open_source(str(clip), reading, threading.Event())
    frames: list[Frame] = []

    def keep(frame: Frame) -> None:
        if len(frames) < _DISTINCT:
            frames.append(frame)

    try:
        cost = _measure("decode", source.frames(Span(max_frames=count)), keep)
    finally:
        source.close()
    if not frames:
        raise InputError(f"{clip}: holds no frame")
    if not isinstance(frames[0].picture, np.ndarray):
        rate = _decoded_at_once(clip, reading, count)
        cost = replace(cost, threads=FILES_ON_DEVICE, frames_per_second=rate)
    return cost, Decoded(source.info, frames)


def _decoded_at_once(clip: Path, reading: Reading, count: int) -> float:
    """Frames a second of as many readers as a run has at once: a GPU has several decoders."""
    with ExitStack() as opened:
        reads = []
        for _ in range(FILES_ON_DEVICE):
            source = open_source(str(clip), reading, threading.Event())
            opened.callback(source.close)
            reads.append(source.frames(Span(max_frames=count)))
            next(reads[-1])  # now its decoder is there
        pool = opened.enter_context(ThreadPoolExecutor(FILES_ON_DEVICE))
        began = time.perf_counter()
        decoded = sum(pool.map(lambda frames: sum(1 for _ in frames), reads))
        return decoded / (time.perf_counter() - began)


def other_stages(
    decoded: Decoded, pose: Pose, settings: RunSettings, plan: Plan, folder: Path
) -> Iterator[StageCost]:
    """All but decoding; each batch size of the engine is one."""
    frames, count, estimator = decoded.frames, plan.alone, pose.estimator
    size = pose.engine.batch
    most = settings.workers or pose.engine.workers
    threads = (most,) if on_cpu(pose.engine) else tuple({1, 2, most})  # how many are best differs
    for batch in sorted({*plan.batches, size}):
        try:
            calls = _calls(frames, batch, count)
            yield _measured("engine", calls, estimator.infer_batch, batch, threads)
        except EngineError as e:
            if batch == size:
                raise
            log.warning("engine: no batch of %d: %s", batch, e)
    found = [each for call in _in_order(frames, size) for each in estimator.infer_batch(call)]
    yield _measured("parse", _calls(found, size, count), estimator.parse_batch, size)
    people = [each for call in _in_order(found, size) for each in estimator.parse_batch(call)]
    followed = yield from _follow(people, decoded, pose, settings, count)
    pairs = list(zip(frames, followed, strict=True))
    yield _write(pairs, decoded.info, pose, count, folder / "stage.jsonl")
    if not plan.data_only:
        yield from _pictures(pairs, decoded.info, pose, settings, count, folder / "stage.mp4")


def _follow(
    people: list[People], decoded: Decoded, pose: Pose, settings: RunSettings, count: int
) -> Generator[StageCost, None, list[People]]:
    """Tracking and smoothing, where they are on; returns the people as they are then."""
    interval_s = float(1 / decoded.info.rate)
    follow = settings.follow_settings(SourceSettings(decoded.info.name))
    if follow is None:
        return people
    tracker = Tracker(pose.topology, follow.track)
    yield _measured(
        "track", _turns(people, count), lambda t: tracker.update(t[1], t[0] * interval_s)
    )
    people = [tracker.update(p, (count + i) * interval_s) for i, p in enumerate(people)]
    if follow.smooth is not None:
        smoother = Smoother(follow.smooth)
        turns = _turns(people, count)
        yield _measured("smooth", turns, lambda t: smoother.update(t[1], t[0] * interval_s))
    return people


def _write(
    pairs: list[tuple[Frame, People]], info: SourceInfo, pose: Pose, count: int, path: Path
) -> StageCost:
    """JSON lines."""
    (sink,) = data_sinks(pose.topology, jsonl=path)
    results = [Result(info, frame, people) for frame, people in pairs]
    try:
        return _measured("data", _turns(results, count), lambda turn: sink.write([turn[1]]))
    finally:
        sink.close()


def _pictures(
    pairs: list[tuple[Frame, People]], info: SourceInfo, pose: Pose, settings: RunSettings,
    count: int, path: Path,
) -> Iterator[StageCost]:  # fmt: skip
    """Drawing, and a video of what was drawn."""
    painter, interval_s = Painter(pose.topology, settings.draw_style), float(1 / info.rate)

    def draw(turn: tuple[int, tuple[Frame, People]]) -> Image:
        number, (frame, people) = turn
        return painter.draw(frame.image, people, number * interval_s)

    yield _measured("draw", _turns(pairs, count), draw)
    drawn = [draw(turn) for turn in enumerate(pairs, count)]
    step = max(1, round(1 / (info.rate * info.time_base)))
    frames = cycle(frame for frame, _ in pairs)
    began = time.process_time()
    writer = video_writer(path, info, settings.encoder)

    def write(turn: tuple[int, Image]) -> None:
        writer.write(turn[1], replace(next(frames), pts=turn[0] * step))

    cost = _measure("encode", _turns(drawn, count), write)
    writer.close()  # what the encoder still holds comes out here: it counts too
    yield replace(cost, cpu_ms=1e3 * (time.process_time() - began) / count)


def _turns(items: Sequence[T], count: int) -> list[tuple[int, T]]:
    """``count`` items, numbered, beginning anew where they end."""
    return list(enumerate(islice(cycle(items), count)))


def _in_order(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _calls(items: Sequence[T], size: int, count: int) -> list[list[T]]:
    """Batches of ``size`` that together are ``count`` items or a few more."""
    turns = cycle(items)
    return [list(islice(turns, size)) for _ in range(-(-count // size))]


def _measured(
    stage: str, calls: Sequence[T], work: Callable[[T], object], batch: int = 1,
    threads: Sequence[int] = (1,),
) -> StageCost:  # fmt: skip
    """Its cost in one thread; how many frames a second, in the best of ``threads``."""
    work(calls[0])  # first calls allocate and compile
    cost = _measure(stage, calls, work, batch)
    if threads == (1,):
        return cost
    rates = {count: batch * _calls_a_second(calls, work, count) for count in threads}
    best = max(rates, key=lambda count: rates[count])
    return replace(cost, threads=best, frames_per_second=rates[best])


def _calls_a_second(calls: Sequence[T], work: Callable[[T], object], threads: int) -> float:
    """In so many threads; all calls over and over, for as long as it takes to tell."""
    with ThreadPoolExecutor(threads) as pool:
        done, began, seconds = 0, time.perf_counter(), 0.0
        while seconds < _LEAST_S:
            done += sum(1 for _ in pool.map(work, calls))
            seconds = time.perf_counter() - began
    return done / seconds


def _measure(
    stage: str, calls: Iterable[T], work: Callable[[T], object], batch: int = 1
) -> StageCost:
    """Takes and works on every call; the taking counts, for sources are iterators."""
    clock: list[float] = []
    cpu = time.process_time()
    began = last = time.perf_counter()
    for call in calls:
        work(call)
        now = time.perf_counter()
        clock.append((now - last) / batch)
        last = now
    frames = max(1, len(clock) * batch)
    cpu_ms = 1e3 * (time.process_time() - cpu) / frames
    spread = Spread.of(clock) or Spread(0.0, 0.0, 0.0)
    return StageCost(stage, batch, 1, cpu_ms, spread, frames / max(1e-9, last - began))
