"""A whole run: inputs into sources, sources through the pipeline, results into files."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from posert.errors import PosertError
from posert.outputs import plan_outputs
from posert.pose import Pose
from posert.postprocess.draw import draw_people
from posert.postprocess.topology import Topology
from posert.report import Report, RunStatus, Stop
from posert.runtime.engine import device_engine
from posert.runtime.outlet import WriteImage
from posert.runtime.pipeline import Stages, process
from posert.runtime.sinks import data_sinks, picture_writer, video_writer
from posert.runtime.sinks.contact_sheet import ContactSheet
from posert.runtime.sources.addresses import is_address, without_password
from posert.runtime.sources.inputs import expand, open_source
from posert.runtime.sources.source import Reading, Source
from posert.runtime.stream import Files, Job, OnFrame, Tally
from posert.settings import RunSettings, read_settings
from posert.types import Image, People

log = logging.getLogger(__name__)

_FILES_ON_DEVICE: Final = 16  # at once where NVDEC decodes: fewer leave it idle
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
        on_frame: called after each frame with what its source came to so far.
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
    names = expand(inputs)
    outputs = plan_outputs(names, settings)
    pose = Pose(**vars(settings))
    tallies = [Tally(without_password(name), live=is_address(name)) for name in names]
    began = time.perf_counter()
    failure = None
    status = RunStatus(settings.status, tallies)
    with status.kept():
        try:
            work = list(zip(names, tallies, outputs, strict=True))
            _run_all(work, pose, settings, stop, on_frame, status.update)
        except PosertError as e:
            failure = e
    seconds = time.perf_counter() - began
    stages = pose.estimator.times.summary()
    data = (settings.jsonl, settings.csv, settings.coco, settings.openpose_json)
    written = tuple(path for path in (*data, settings.contact_sheet) if path is not None)
    engine = pose.engine.name
    code = stop.exit_code if isinstance(stop, Stop) else 0
    report = Report(tuple(tallies), seconds, stages, engine, stop.is_set(), written, code, failure)
    status.close(report.exit_code)
    return report


def _run_all(
    work: list[tuple[str, Tally, Path | None]],
    pose: Pose,
    settings: RunSettings,
    stop: threading.Event,
    on_frame: OnFrame,
    alive: Callable[[], None],
) -> None:
    """Runs the sources between opening and closing what they share."""
    with ExitStack() as files:
        sinks = data_sinks(
            pose.topology,
            jsonl=settings.jsonl,
            csv=settings.csv,
            coco=settings.coco,
            openpose_json=settings.openpose_json,
        )
        for sink in sinks:
            files.callback(sink.close)
        sheet = ContactSheet(settings.contact_sheet) if settings.contact_sheet else None
        if sheet is not None:
            files.callback(sheet.close)
        on_device = device_engine(pose.engine) is not None
        reading = replace(settings.reading, on_device=on_device)
        jobs = [_job(*each, sheet, pose.topology, settings, reading, stop) for each in work]
        stages = Stages(
            pose.estimator, sinks, settings.at_once or 1,
            max_latency_s=settings.max_latency, alive=alive,
        )  # fmt: skip
        if reading.on_device:
            stages = _on_device(stages, settings)
            files.enter_context(_switching_every(_SWITCH_S))
        process(jobs, settings.span, stages, stop, _one_at_a_time(on_frame))


def _on_device(stages: Stages, settings: RunSettings) -> Stages:
    """``stages`` for pictures that a GPU decodes and keeps."""
    return replace(
        stages,
        at_once=settings.at_once or _FILES_ON_DEVICE,
        readers=_READERS_ON_DEVICE,
        workers=settings.workers or _WORKERS_ON_DEVICE,
        parse_apart=True,
    )


def _job(
    name: str,
    tally: Tally,
    output: Path | None,
    sheet: ContactSheet | None,
    topology: Topology,
    settings: RunSettings,
    reading: Reading,
    stop: threading.Event,
) -> Job:
    """One source and the files that its drawn frames go to."""

    def opened() -> Source:
        source = open_source(name, reading, stop)
        tally.expected = settings.span.expected(source.info)
        return source

    def draw(image: Image, people: People, time_s: float) -> Image:
        return draw_people(image, people, topology, settings.draw_style)

    def files(source: Source) -> Files:
        writers: list[WriteImage] = [sheet.write] if sheet is not None else []
        if output is None:
            return Files(writers, lambda: None, draw)
        if source.info.still:
            tally.outputs = [output]
            return Files([*writers, picture_writer(output)], lambda: None, draw)
        video = video_writer(output, source.info, settings.encoder, settings.segment)

        def close() -> None:
            try:
                video.close()
            finally:
                tally.outputs = video.paths

        return Files([*writers, video.write], close, draw)

    looked_at = output is not None or sheet is not None
    return Job(tally, opened, files if looked_at else None)


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
