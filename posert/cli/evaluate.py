"""``posert eval``: COCO keypoint AP and AR of a model, and its speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posert.cli.run import parse_size

if TYPE_CHECKING:
    from posert.evaluate import Evaluation


def evaluate(
    annotations: Annotated[Path, typer.Option(help="COCO keypoint annotations, JSON.")],
    images: Annotated[Path, typer.Option(help="Folder of the annotated images.")],
    model: Annotated[str, typer.Option(help="Name, folder, card.yaml or .onnx.")] = "pose-small",
    backend: Annotated[str, typer.Option(help="As of posert run.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16 or int8.")] = "auto",
    form: Annotated[str, typer.Option(help="auto, maps or compact.")] = "auto",
    input_size: Annotated[
        str | None, typer.Option(help="Network input: long side, or HxW, pixels.")
    ] = None,
    parser: Annotated[
        str, typer.Option(help="posert, or trt_pose for its exact parser.")
    ] = "posert",
    limit: Annotated[int | None, typer.Option(help="Only the first N images.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all of it to this file.")] = None,
) -> None:
    """Measure keypoint accuracy on annotated images (COCO AP and AR), and speed."""
    from posert.cli.progress import start_logging
    from posert.evaluate import evaluate as measure
    from posert.pose import Pose
    from posert.runtime.sinks.sink import write_json

    start_logging(quiet=False)
    size = parse_size(input_size) if input_size is not None else None
    pose = Pose(model, backend, precision=precision, form=form, input_size=size, parser=parser)
    with _progress() as on_image:
        result = measure(pose, annotations, images, limit, on_image)
    _print(result)
    if json is not None:
        write_json(json, result.as_json())


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.progress import Progress

    from posert.cli.progress import console

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(result: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "all", "OKS .50", "OKS .75", "medium", "large", box=None, pad_edge=False)
    for kind in ("AP", "AR"):
        row = [result.metrics[kind + part] for part in ("", "50", "75", "m", "l")]
        table.add_row(kind, *(f"{value:.3f}" for value in row))
    print(
        f"{result.model} at {result.input_size}, {result.engine}: {result.images} images, "
        f"{result.annotated_people} people annotated, {result.found_people} found"
    )
    if result.missing_images:
        print(f"{result.missing_images} annotated images are not in the folder and left out")
    Console().print(table)
    stages = ", ".join(f"{s.stage} {s.p50_ms:.1f} ms" for s in result.stages)
    print(f"{result.images_per_s:.1f} images/s; median a picture: {stages}")
