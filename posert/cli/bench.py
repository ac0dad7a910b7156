"""``posert bench``: each stage alone, the ideal, and what whole runs achieve of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posert.cli.run import parse_size

if TYPE_CHECKING:
    from posert.bench import Plan
    from posert.settings import RunSettings

_WHAT = "What is measured"
_AFTER = "What becomes of it"
_HOW = "How it runs, as of posert run"


def bench(
    clip: Annotated[
        Path | None, typer.Argument(help="A video file; the shipped clip if left out.")
    ] = None,
    frames: Annotated[
        int, typer.Option(min=10, help="Frames of a round.", rich_help_panel=_WHAT)
    ] = 300,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds; medians are told.", rich_help_panel=_WHAT)
    ] = 3,
    batches: Annotated[
        str, typer.Option(help="Pictures a call of the engine.", rich_help_panel=_WHAT)
    ] = "1,4,16",
    streams: Annotated[
        str | None,
        typer.Option(help="Inputs at once, as 1,4,16; one if left out.", rich_help_panel=_WHAT),
    ] = None,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="JSON lines, no video.", rich_help_panel=_WHAT)
    ] = False,
    predecoded: Annotated[
        bool,
        typer.Option("--predecoded", help="Inputs decoded ahead of time.", rich_help_panel=_WHAT),
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Made-up cameras, 1, 2, 4 ... or --streams.", rich_help_panel=_WHAT
        ),
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Frames/s of a made-up camera.", rich_help_panel=_WHAT)
    ] = 30.0,
    json: Annotated[
        Path | None, typer.Option(help="Write all of it to this file.", rich_help_panel=_AFTER)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw it into this PNG (needs matplotlib).", rich_help_panel=_AFTER),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Two files of --json, OLD and NEW, side by side; measures nothing.",
            rich_help_panel=_AFTER,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Name, folder, card.yaml or .onnx.", rich_help_panel=_HOW)
    ] = "pose-small",
    backend: Annotated[
        str, typer.Option(help="As of posert run, or auto.", rich_help_panel=_HOW)
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16 or int8.", rich_help_panel=_HOW)
    ] = "auto",
    form: Annotated[
        str, typer.Option(help="auto, maps or compact.", rich_help_panel=_HOW)
    ] = "auto",
    input_size: Annotated[
        str | None,
        typer.Option(help="Network input: long side, or HxW, pixels.", rich_help_panel=_HOW),
    ] = None,
    io: Annotated[
        str, typer.Option(help="auto, ffmpeg, gstreamer or nvcodec.", rich_help_panel=_HOW)
    ] = "auto",
    gpus: Annotated[
        str | None, typer.Option(help="all, or numbers as 0,1.", rich_help_panel=_HOW)
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Of workers, or beside a GPU.", rich_help_panel=_HOW)
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Files read at once.", rich_help_panel=_HOW)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Inference threads.", rich_help_panel=_HOW)
    ] = None,
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Ids of people.", rich_help_panel=_HOW)
    ] = True,
    smooth: Annotated[
        bool,
        typer.Option("--smooth/--no-smooth", help="Steadier keypoints.", rich_help_panel=_HOW),
    ] = True,
) -> None:
    """Measure every stage alone and whole runs, and how near they come to the ideal."""
    from posert.cli.progress import start_logging
    from posert.settings import read_settings

    start_logging(quiet=False)
    if compare is not None:
        _compare(*compare)
        return
    given: dict[str, Any] = {
        "model": model, "backend": backend, "precision": precision, "form": form, "io": io,
        "track": track, "smooth": smooth,
    }  # fmt: skip
    more = {"gpus": gpus, "processes": processes, "at_once": at_once, "workers": workers}
    more["input_size"] = parse_size(input_size) if input_size is not None else None
    given |= {key: value for key, value in more.items() if value is not None}
    plan = _plan(frames, rounds, batches, streams, data_only, predecoded, live, rate)
    _measure(clip, read_settings(None, given), plan, json, plot)


def _plan(
    frames: int,
    rounds: int,
    batches: str,
    streams: str | None,
    data_only: bool,
    predecoded: bool,
    live: bool,
    rate: float,
) -> Plan:
    from posert.bench import Plan
    from posert.bench.results import Kind

    asked: tuple[tuple[Kind, bool], ...] = (("predecoded", predecoded), ("live", live))
    return Plan(
        frames=frames,
        rounds=rounds,
        batches=_counts("--batches", batches),
        streams=_counts("--streams", streams) if streams is not None else None,
        kinds=tuple(kind for kind, wanted in asked if wanted) or ("files",),
        data_only=data_only,
        rate=rate,
    )


def _measure(
    clip: Path | None, settings: RunSettings, plan: Plan, json: Path | None, plot: Path | None
) -> None:
    from posert.bench import bench as measure
    from posert.bench.places import check_places
    from posert.bench.plot import draw_bench
    from posert.cli.bench_tables import print_bench
    from posert.config import shipped
    from posert.runtime.sinks.sink import write_json

    check_places(json, plot)  # before minutes of measuring
    result = measure(clip or shipped("demo") / "walkers.mp4", settings, plan)
    print_bench(result)
    if json is not None:
        write_json(json, result.as_json())
    if plot is not None:
        draw_bench(result, plot)


def _compare(old: Path, new: Path) -> None:
    from posert.bench.compare import compare
    from posert.bench.results import read_bench
    from posert.cli.bench_tables import print_comparison

    print_comparison(compare(read_bench(old), read_bench(new)), old.name, new.name)


def _counts(option: str, text: str) -> tuple[int, ...]:
    """``1,4,16`` as numbers."""
    from posert.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(option, got=text, expected="numbers as 1,4,16")
    return tuple(map(int, parts))
