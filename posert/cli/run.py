"""``posert run``: pictures, videos, cameras and streams in; skeletons and data out."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

_WHAT = "What is written"
_WHICH = "Which frames"
_READ = "How inputs are read (durations as 200ms, 5s, 10m)"
_HOW = "Model and parser"
_WHO = "Who is who"
_LOOK = "Look"
_ONE_SIGNAL_S = 1.0  # timeout(1) and terminals signal a process and its group: that is one


def run(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders, globs, camera indices (0 or /dev/video0), RTSP or HTTP URLs."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Video or picture; a folder for several.", rich_help_panel=_WHAT
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of a video or picture for each.", rich_help_panel=_WHAT),
    ] = None,
    tile: Annotated[
        Path | None,
        typer.Option(help="One video of all inputs side by side.", rich_help_panel=_WHAT),
    ] = None,
    tile_size: Annotated[
        str | None, typer.Option(help="Of that video: 1920x1080.", rich_help_panel=_WHAT)
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(help="One JSON line a frame (- for stdout).", rich_help_panel=_WHAT),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="One row a person.", rich_help_panel=_WHAT)
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(help="COCO keypoint results.", rich_help_panel=_WHAT)
    ] = None,
    openpose_json: Annotated[
        Path | None,
        typer.Option(help="Folder of OpenPose files, one a frame.", rich_help_panel=_WHAT),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="One PNG of nine frames of the run.", rich_help_panel=_WHAT),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="auto, libx264, h264_nvenc or one of GStreamer's (see posert doctor).",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(help="Begin a new video every 90s, 10m, 1h.", rich_help_panel=_WHAT),
    ] = None,
    status: Annotated[
        Path | None,
        typer.Option(
            help="Keep this file up to date for posert health.",
            envvar="POSERT_STATUS",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="Begin at this second.", rich_help_panel=_WHICH)
    ] = None,
    every: Annotated[
        int | None, typer.Option(help="Take every Nth frame.", rich_help_panel=_WHICH)
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(help="At most so many of each input.", rich_help_panel=_WHICH)
    ] = None,
    io: Annotated[
        str | None,
        typer.Option(
            help="What decodes: auto, ffmpeg, gstreamer or nvcodec.", rich_help_panel=_READ
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(help="Files under way at once; cameras all are.", rich_help_panel=_READ),
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            help="From a live picture to its result: batches leave in time.", rich_help_panel=_READ
        ),
    ] = None,
    rtsp_transport: Annotated[
        str | None, typer.Option(help="tcp or udp.", rich_help_panel=_READ)
    ] = None,
    rtsp_latency: Annotated[
        str | None,
        typer.Option(help="How long packets may wait for earlier ones.", rich_help_panel=_READ),
    ] = None,
    open_timeout: Annotated[
        str | None, typer.Option(help="To connect to a live source.", rich_help_panel=_READ)
    ] = None,
    read_timeout: Annotated[
        str | None,
        typer.Option(help="Without a picture: connect anew.", rich_help_panel=_READ),
    ] = None,
    give_up: Annotated[
        str | None,
        typer.Option(
            help="Without a picture: the source has failed. 30s before the first, then never.",
            rich_help_panel=_READ,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name, folder, card.yaml or .onnx.", rich_help_panel=_HOW),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="auto, tensorrt, tensorrt-rtx, onnxruntime-cuda or onnxruntime.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32, fp16 or int8.", rich_help_panel=_HOW)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(help="auto, maps or compact (see docs/engines.md).", rich_help_panel=_HOW),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(help="Network input: long side, or HxW, pixels.", rich_help_panel=_HOW),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Inference threads.", rich_help_panel=_HOW)
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            help="CPU: that share the inputs. GPUs: that parse beside them, of all together.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(help="all, or numbers as 0,1; each has a process.", rich_help_panel=_HOW),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least keypoint confidence.", rich_help_panel=_HOW)
    ] = None,
    link_threshold: Annotated[
        float | None, typer.Option(help="Least link score.", rich_help_panel=_HOW)
    ] = None,
    max_peaks: Annotated[
        int | None, typer.Option(help="Most keypoints of a type.", rich_help_panel=_HOW)
    ] = None,
    max_people: Annotated[
        int | None, typer.Option(help="Most people in a frame.", rich_help_panel=_HOW)
    ] = None,
    min_parts: Annotated[
        int | None, typer.Option(help="Keypoints a person must have.", rich_help_panel=_HOW)
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Least person score.", rich_help_panel=_HOW)
    ] = None,
    parser: Annotated[
        str | None,
        typer.Option(help="posert, or trt_pose for its exact parser.", rich_help_panel=_HOW),
    ] = None,
    track: Annotated[
        bool | None,
        typer.Option("--track/--no-track", help="Ids of people.", rich_help_panel=_WHO),
    ] = None,
    track_min_hits: Annotated[
        int | None, typer.Option(help="Frames before an id is given.", rich_help_panel=_WHO)
    ] = None,
    track_max_age: Annotated[
        str | None,
        typer.Option(help="Unseen for so long: a new id.", rich_help_panel=_WHO),
    ] = None,
    smooth: Annotated[
        bool | None,
        typer.Option("--smooth/--no-smooth", help="Steadier keypoints.", rich_help_panel=_WHO),
    ] = None,
    colours: Annotated[
        str | None,
        typer.Option(help="By limbs, ids, coco's or trt_pose's.", rich_help_panel=_LOOK),
    ] = None,
    line_width: Annotated[
        float | None, typer.Option(help="Times the automatic width.", rich_help_panel=_LOOK)
    ] = None,
    boxes: Annotated[
        bool | None,
        typer.Option("--boxes/--no-boxes", help="Boxes and scores.", rich_help_panel=_LOOK),
    ] = None,
    ids: Annotated[
        bool | None,
        typer.Option("--ids/--no-ids", help="Who each person is.", rich_help_panel=_LOOK),
    ] = None,
    trails: Annotated[
        str | None, typer.Option(help="Where people were for 2s.", rich_help_panel=_LOOK)
    ] = None,
    names: Annotated[
        bool | None,
        typer.Option("--names/--no-names", help="Of keypoints.", rich_help_panel=_LOOK),
    ] = None,
    fade: Annotated[
        bool | None,
        typer.Option("--fade/--no-fade", help="Less certain is fainter.", rich_help_panel=_LOOK),
    ] = None,
    blur_faces: Annotated[
        bool | None,
        typer.Option("--blur-faces/--no-blur-faces", help="Of all found.", rich_help_panel=_LOOK),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(help="picture, black, or people: only them.", rich_help_panel=_LOOK),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of these settings; flags overrule it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Find the people in INPUTS; write pictures, videos and data.

    Exit codes: 0 done, 2 usage, 3 input, 4 model, 5 output, 6 settings, 7 some inputs failed, 9
    backend, 130/143 stopped (all files are completed).
    """
    from posert.cli.progress import Progress, print_report, start_logging
    from posert.running import run_settings
    from posert.settings import read_settings

    given = {
        name: value
        for name, value in context.params.items()
        if value is not None and name not in ("inputs", "config", "quiet")
    }
    if input_size is not None:
        given["input_size"] = parse_size(input_size)
    settings = read_settings(config, given)
    if not inputs and not settings.sources:
        raise typer.BadParameter("name an input, or give sources in --config", param_hint="INPUTS")
    start_logging(quiet)
    with _stop_on_signals() as stopped, Progress(quiet) as progress:
        report = run_settings(list(inputs or ()), settings, stopped.event, progress.update)
    print_report(report, quiet)
    raise typer.Exit(report.exit_code)


def parse_size(text: str) -> Any:
    """``384`` as a long side, ``256x384`` as (height, width); anything else is left to fail."""
    sides = text.lower().split("x")
    if not all(side.isdigit() for side in sides) or len(sides) > 2:
        return text
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


class _Stopped:
    """Whether and by which signal the run was asked to end."""

    def __init__(self) -> None:
        from posert.report import Stop

        self.event = Stop()
        self.signal = 0
        self._at_s = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            if time.monotonic() - self._at_s > _ONE_SIGNAL_S:  # asked again: leave the files
                raise KeyboardInterrupt
            return
        self.signal, self._at_s = number, time.monotonic()
        self.event.exit_code = 128 + number
        self.event.set()


@contextmanager
def _stop_on_signals() -> Iterator[_Stopped]:
    stopped = _Stopped()
    before = {n: signal.signal(n, stopped) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
