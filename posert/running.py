"""A whole run: inputs into sources, sources through the pipeline, results into files."""

from __future__ import annotations

import logging
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from posert.engine_builder.card import find_card, read_topology
from posert.errors import PosertError
from posert.inputs import plan_inputs, shown_name
from posert.jobs import Shared, Work, make_job
from posert.outputs import plan_outputs, shown_output
from posert.pose import Pose
from posert.postprocess.draw import Painter
from posert.report import Report, RunStatus, Stop
from posert.runtime.engine import device_engine
from posert.runtime.pipeline import Stages, process
from posert.runtime.sinks import data_files, data_formats, video_writer
from posert.runtime.sinks.contact_sheet import ContactSheet
from posert.runtime.sinks.sink import DataSink, ImageWriter
from posert.runtime.sources.addresses import is_address
from posert.runtime.stream import OnFrame, Tally
from posert.runtime.wall import Wall
from posert.settings import RunSettings, read_settings
from posert.types import SourceInfo
from posert.workers.parsers import Parsers
from posert.workers.shares import data_paths, parsers_wanted, plan_shares
from posert.workers.workers import Workers

log = logging.getLogger(__name__)

FILES_ON_DEVICE: Final = 16  # at once where NVDEC decodes: fewer leave it idle
_READERS_ON_DEVICE: Final = 3  # threads: decoding leaves Python's lock, more only disturb it
_WORKERS_ON_DEVICE: Final = 2  # threads of inference: with 4 parsing takes thrice as long
# How long a thread that comes back from a decoder waits for Python's lock while another computes.
# Of 32 streams on an H200, with Python's own 5 ms: 2,200 frames/s instead of 2,700.
_SWITCH_S: Final = 0.0002


def run(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path | None = None,
    *,
    stop: threading.Event | None = None,
    on_frame: OnFrame = lambda tally: None,
    **settings: Any,
) -> Report:
    """Finds the people in videos, pictures, cameras and streams, and writes what is asked for.

    Example::

        report = posert.run("clip.mp4", "out/clip.mp4", jsonl="out/clip.jsonl")
        print(report.frames, report.people, report.frames_per_second)

    Args:
        inputs: files, folders, globs, camera indices (``"0"``) and URLs.
        output: video or picture with skeletons; a folder for several inputs.
        stop: set it to end the run early; all files are completed.
        on_frame: called after each frame with what its source came to so far; where worker
            processes share the sources, some ten times a second.
        settings: fields of ``posert.RunSettings``.

    Returns:
        The report. An input that fails is in it and does not stop the others.

    Raises:
        PosertError: nothing could be begun: wrong settings, model, or outputs; or an output
            shared by all inputs cannot be created.
    """
    paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    given = {**settings, "output": output} if output is not None else settings
    chosen = read_settings(None, given)
    return run_settings([str(path) for path in paths], chosen, stop or threading.Event(), on_frame)


def run_settings(
    inputs: list[str], settings: RunSettings, stop: threading.Event, on_frame: OnFrame
) -> Report:
    """``run`` with its settings in one value."""
    sources = plan_inputs(inputs, settings)
    outputs = plan_outputs(sources, settings)
    tallies = [Tally(shown_name(source), live=is_address(source.input)) for source in sources]
    planned = zip(range(len(sources)), sources, tallies, outputs, strict=True)
    work = [Work(*each) for each in planned]
    asked = (*data_paths(settings).values(), settings.contact_sheet)
    shared = [path for path in asked if path is not None]
    before = [_state(path) for path in shared]
    with _opened(work, settings) as part:
        began = time.perf_counter()
        failure = None
        status = RunStatus(settings.status, tallies)
        with status.kept():
            try:
                part.run(stop, on_frame, status.update)
            except PosertError as e:
                failure = e
        seconds = time.perf_counter() - began
    stages = part.times.summary()
    written = [path for path, was in zip(shared, before, strict=True) if _state(path) != was]
    if settings.tile is not None:
        written += part.wall_paths if isinstance(part, OneProcess) else [settings.tile]
    code = stop.exit_code if isinstance(stop, Stop) else 0
    report = Report(
        tuple(tallies), seconds, stages, part.engine, stop.is_set(), tuple(written), code, failure
    )
    status.close(report.exit_code)
    return report


def _state(path: Path) -> object:
    """What changes when a file is written; None where nothing is in it."""
    try:
        now = path.stat()
    except OSError:
        return None
    if stat.S_ISDIR(now.st_mode):
        return object()  # files in it may have been written anew
    return (now.st_ino, now.st_mtime_ns, now.st_size) if now.st_size else None


@contextmanager
def _opened(work: list[Work], settings: RunSettings) -> Iterator[OneProcess | Workers]:
    """What runs the sources, engines open: this process, or several that share them."""
    inputs = [each.source.input for each in work]
    shares = plan_shares(inputs, settings)
    if not shares:
        yield OneProcess(work, settings)
        return
    topology = read_topology(find_card(settings.model).topology_path)
    mine = [(each.tally, each) for each in work]
    with Workers(OneProcess, mine, inputs, settings, topology, shares) as workers:
        yield workers


class OneProcess:
    """The sources that one process runs, its engine open."""

    def __init__(self, work: list[Work], settings: RunSettings) -> None:
        self._work = work
        self._settings = settings
        self._pose = Pose(**vars(settings))
        Painter(self._pose.topology, settings.draw_style)  # refuses what the model cannot give
        self.wall_paths: list[Path] = []  # written, once it has run
        self.engine = self._pose.engine.name
        self.times = self._pose.estimator.times

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]] | None = None,
    ) -> None:
        """Runs all to their ends, or until ``stop`` is set; data go to ``sinks``, or into files."""
        wall = partial(_wall, self._work, self._settings, self.wall_paths)
        _run_all(self._work, self._pose, self._settings, wall, stop, on_frame, alive, sinks)


def _run_all(
    work: list[Work],
    pose: Pose,
    settings: RunSettings,
    open_wall: Callable[[], AbstractContextManager[Wall]],
    stop: threading.Event,
    on_frame: OnFrame,
    alive: Callable[[], None],
    sinks: Sequence[DataSink[Any]] | None,
) -> None:
    """Runs the sources between opening and closing what they share."""
    with ExitStack() as files:
        if sinks is None:
            sinks = data_files(pose.topology, **data_paths(settings))
        for sink in sinks:
            files.callback(sink.close)
        sheet = ContactSheet(settings.contact_sheet) if settings.contact_sheet else None
        if sheet is not None:
            files.callback(sheet.close)
        on_device = device_engine(pose.engine) is not None
        reading = replace(settings.reading, on_device=on_device)
        wall = files.enter_context(open_wall()) if settings.tile is not None else None
        if wall is not None and not any([sheet, *sinks, *(each.output for each in work)]):
            alive = partial(_alive_beside, wall, alive, stop)
        shared = Shared(settings, pose.topology, reading, stop, sheet, wall)
        stages = Stages(
            pose.estimator, [*sinks], settings.at_once or 1,
            max_latency_s=settings.max_latency, alive=alive,
        )  # fmt: skip
        if reading.on_device:
            stages = _on_device(stages, settings)
            files.enter_context(_switching_every(_SWITCH_S))
            if count := parsers_wanted([each.source.input for each in work], settings):
                parsers = _parsers(count, pose, settings, sinks)
                files.callback(parsers.close)
                stages = replace(stages, parsing=parsers)
        if wall is not None:  # it shows all at once, and a source that is ahead waits
            stages = replace(stages, at_once=len(work), readers=None, together=True)
        jobs = [make_job(each, shared) for each in work]
        process(jobs, settings.span, stages, stop, _one_at_a_time(on_frame))


def _alive_beside(wall: Wall, alive: Callable[[], None], stop: threading.Event) -> None:
    """``alive``; the run ends with a wall that is all it makes."""
    alive()
    if wall.error is not None:
        stop.set()


def _parsers(
    count: int, pose: Pose, settings: RunSettings, sinks: Sequence[DataSink[Any]]
) -> Parsers:
    """Processes that take parsing and all behind it from the one that has the GPU."""
    formats = data_formats(pose.topology, **data_paths(settings))
    return Parsers(
        count, pose.topology, settings.parser_settings(pose.card),
        list(zip(formats, sinks, strict=True)), pose.estimator.times, pose.engine.batch,
    )  # fmt: skip


@contextmanager
def _wall(work: list[Work], settings: RunSettings, paths: list[Path]) -> Iterator[Wall]:
    """The wall of all sources; complete in the end, and its files in ``paths``.

    Raises:
        OutputError: it could not be written; the sources went on without it.
    """
    target = str(settings.tile)

    def open_video(info: SourceInfo) -> ImageWriter:
        return video_writer(target, info, settings.encoder, settings.segment)

    names = [shown_name(each.source) for each in work]
    live = any(each.tally.live for each in work)
    wall = Wall(open_video, names, settings.tile_size, live=live)
    try:
        yield wall
    finally:
        wall.close()
        paths += wall.paths
    if wall.skipped:
        name = shown_output(Path(target))
        log.warning("%s: %d frames left out: writing was too slow", name, wall.skipped)
    if wall.error is not None:
        raise wall.error


def _on_device(stages: Stages, settings: RunSettings) -> Stages:
    """``stages`` for pictures that a GPU decodes and keeps."""
    return replace(
        stages,
        at_once=settings.at_once or FILES_ON_DEVICE,
        readers=_READERS_ON_DEVICE,
        workers=settings.workers or _WORKERS_ON_DEVICE,
        parse_apart=True,
    )


@contextmanager
def _switching_every(seconds: float) -> Iterator[None]:
    """Python's threads take turns so often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _one_at_a_time(on_frame: OnFrame) -> OnFrame:
    """``on_frame`` for callers that need not know of threads."""
    lock = threading.Lock()

    def locked(tally: Tally) -> None:
        with lock:
            on_frame(tally)

    return locked
