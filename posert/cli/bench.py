"""``posert bench``: each stage alone, the ideal, and what a whole run achieves of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posert.cli.run import parse_size

if TYPE_CHECKING:
    from posert.bench import Bench


def bench(
    clip: Annotated[
        Path | None, typer.Argument(help="A video file; the shipped clip if left out.")
    ] = None,
    frames: Annotated[int, typer.Option(min=10, help="Frames of a round.")] = 120,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are printed.")] = 3,
    model: Annotated[str, typer.Option(help="Name, folder, card.yaml or .onnx.")] = "pose-small",
    backend: Annotated[str, typer.Option(help="As of posert run.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16 or int8.")] = "auto",
    form: Annotated[str, typer.Option(help="auto, maps or compact.")] = "auto",
    input_size: Annotated[
        str | None, typer.Option(help="Network input: long side, or HxW, pixels.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all of it to this file.")] = None,
) -> None:
    """Measure every stage alone and a whole run, and how near it comes to the ideal."""
    from posert.bench import bench as measure
    from posert.cli.progress import start_logging
    from posert.config import shipped
    from posert.runtime.sinks.sink import write_json
    from posert.settings import read_settings

    start_logging(quiet=False)
    given = {"model": model, "backend": backend, "precision": precision, "form": form}
    size = {"input_size": parse_size(input_size)} if input_size is not None else {}
    result = measure(
        clip or shipped("demo") / "walkers.mp4",
        read_settings(None, {**given, **size}),
        frames,
        rounds,
    )
    _print(result)
    if json is not None:
        write_json(json, result.as_json())


def _print(result: Bench) -> None:
    from rich.console import Console
    from rich.table import Table

    print(
        f"{result.clip}, {result.size[0]}x{result.size[1]}, {result.engine}, {result.cores} cores: "
        f"medians of {result.rounds} rounds of {result.frames} frames"
    )
    table = Table("stage alone", box=None, pad_edge=False)
    for column in ("CPU ms", "p50 ms", "p95 ms"):
        table.add_column(column, justify="right")
    for stage in result.stages:
        numbers = (stage.cpu_ms, stage.p50_ms, stage.p95_ms)
        table.add_row(stage.stage, *(f"{number:.2f}" for number in numbers))
    table.add_row("all", f"{sum(stage.cpu_ms for stage in result.stages):.2f}")
    table.add_row(
        "whole run, between frames",
        "",
        f"{result.latency_p50_ms:.2f}",
        f"{result.latency_p95_ms:.2f}",
    )
    Console().print(table)
    print(
        f"ideal {result.ideal_fps:.1f} frames/s (cores / CPU seconds a frame), "
        f"achieved {result.achieved_fps:.1f}, ratio {result.ratio:.3f}"
    )
