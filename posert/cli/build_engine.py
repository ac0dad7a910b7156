"""``posert build-engine``: from a model to the fastest engine of this device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posert.cli.run import parse_size

if TYPE_CHECKING:
    from posert.manifest import EngineFile, Gate


def build_engine(
    model: Annotated[
        str,
        typer.Argument(help="Name, folder, card.yaml or .onnx; or a torch2trt state dict, .pth."),
    ] = "pose-small",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16 or int8 (wants --calibration).")
    ] = "auto",
    batch: Annotated[
        str | None, typer.Option(help="Pictures a call: MIN,OPT,MAX; 1,4,16 if left out.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="The one input size, HxW; or the long side, and any shape within it."),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(help="auto, tensorrt, tensorrt-rtx, onnxruntime-cuda or onnxruntime."),
    ] = "auto",
    form: Annotated[
        str,
        typer.Option(help="auto, compact (peaks and link scores leave the device) or maps."),
    ] = "auto",
    max_peaks: Annotated[
        int | None,
        typer.Option(help="Of the compact form: most keypoints of one type; more takes longer."),
    ] = None,
    parser: Annotated[
        str, typer.Option(help="Of the compact form: posert, or trt_pose for its exact parser.")
    ] = "posert",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures or a video: for int8, and to judge the engine with."),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO keypoints of the calibration folder: AP is judged too."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Compute capabilities to build for, e.g. 8.6,8.9 (TensorRT-RTX)."),
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="TensorRT's timings, read and written.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A copy for elsewhere, .engine: run --model FILE."),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(help="The model a .pth is of; trt-pose-resnet18-224 if left out."),
    ] = None,
    via: Annotated[
        str | None, typer.Option(help="torch2trt: have it convert a checkpoint, .pth.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build anew, and keep what the gate refuses.")
    ] = False,
) -> None:
    """Build the engine of MODEL for this device and keep it in the cache.

    Every engine is compared with the fp32 network before it is kept; one that finds too little of
    what that finds is refused. Engines of torch2trt alone are not judged. Exit codes: 0 done, 2
    usage, 3 calibration, 4 model, 5 cache, 6 settings, 9 backend or gate.
    """
    from posert.cli.progress import start_logging

    start_logging(quiet=False)
    if via is not None and via != "torch2trt":
        raise typer.BadParameter(f"{via!r} is not torch2trt", param_hint="--via")
    if via is not None and not model.endswith(".pth"):
        raise typer.BadParameter("wants a checkpoint, .pth", param_hint="--via")
    given: dict[str, Any] = {
        "precision": precision, "backend": backend, "form": form, "parser": parser,
        "max_peaks": max_peaks,
        "input_size": parse_size(size) if size is not None else None,
        "batch": parse_numbers(batch) if batch is not None else None,
        "calibration": calibration, "annotations": annotations,
        "targets": parse_targets(target) if target is not None else (),
        "timing_cache": timing_cache, "force": force, "output": output, "card": card, "via": via,
    }  # fmt: skip
    from posert.engines import build_engine

    _print(build_engine(model, **given))


def parse_numbers(text: str) -> tuple[int, int, int]:
    """``1,4,16`` as numbers."""
    try:
        least, usual, most = (int(number) for number in text.split(","))
    except ValueError as e:
        raise typer.BadParameter(f"{text!r} is not MIN,OPT,MAX", param_hint="--batch") from e
    return least, usual, most


def parse_targets(text: str) -> tuple[str, ...]:
    """``8.6,8.9`` as compute capabilities; whether the builder knows them is left to it."""
    targets = tuple(target.strip() for target in text.split(","))
    if not all(re.fullmatch(r"\d+\.\d", target) for target in targets):
        told = f"{text!r} is not a list of compute capabilities such as 8.6,8.9"
        raise typer.BadParameter(told, param_hint="--target")
    return targets


def _print(file: EngineFile) -> None:
    """What was built, how good it is and where it is."""
    made = file.manifest
    if made is None:
        print(f"{file.path}: onnxruntime runs this ONNX as it is: there is nothing to build")
        return
    height, width = (
        f"{least}" if least == most else f"{least}..{most}"
        for least, _, most in (made.profile.height, made.profile.width)
    )
    batches = "/".join(map(str, made.profile.batch))
    print(file.path)
    print(f"  {made.model}, {made.backend} {made.line_version}, {made.precision}, {made.form} form")
    print(f"  input {height} x {width}, batches {batches}, {file.path.stat().st_size / 1e6:.1f} MB")
    print(
        f"  for {', '.join(made.targets) or made.device.name}, built in {made.build_seconds:.1f} s"
    )
    if made.gate is not None:
        print(f"  {_verdict(made.gate)}")
    elif "torch2trt" in made.flags:
        print("  not judged: it is of torch2trt; precision and batches are what was asked for")


def _verdict(gate: Gate) -> str:
    numbers = [
        f"peaks agree {gate.peak_agreement:.1%}",
        f"keypoints of people {gate.people_agreement:.1%}",
    ]
    if gate.map_error is not None:
        numbers.append(f"map error {gate.map_error:.3f}")
    if gate.ap_reference is not None and gate.ap_candidate is not None:
        numbers.append(f"AP {gate.ap_candidate:.4f} (fp32 {gate.ap_reference:.4f})")
    against = f"against fp32 on {gate.pictures} pictures: {', '.join(numbers)}"
    return against if gate.passed else f"{against}; REFUSED by the gate, kept by --force"
