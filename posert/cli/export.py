"""``posert export``: a checkpoint of a trt_pose network to ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posert.cli.run import parse_size

if TYPE_CHECKING:
    from posert.model_card import ModelCard

_DEFAULT_SIZE = (224, 224)  # what trt_pose's resnet18 was trained for


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="State dict of a trt_pose network, .pth; nothing in it is run.")
    ],
    arch: Annotated[
        str | None,
        typer.Option(help="resnet18_baseline_att, ...; by default the one whose weights it has."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The ONNX; by default where its model's card wants it."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Network input, HxW; by default the card's, else 224x224.")
    ] = None,
    opset: Annotated[int, typer.Option(help="ONNX operator set, 17 to 20.")] = 17,
) -> None:
    """Turn a checkpoint into an ONNX that posert runs and builds engines from.

    The result is compared with PyTorch's, and with the model's card where there is one.
    """
    from posert.training.checkpoint import load_network
    from posert.training.export import export_onnx

    sides = _sides(size) if size is not None else None
    path = _onnx_path(output) if output is not None else _default_output(checkpoint)
    network = load_network(checkpoint, arch)
    card = _card_beside(path)
    like = card or _card_of(network.architecture, network.keypoints, network.links)
    sides = sides or _size_of(like) or _DEFAULT_SIZE
    judge = card or (like if sides == _size_of(like) else None)
    difference = export_onnx(network, path, sides, opset, lambda file: _check(judge, file, path))
    print(
        f"{path}: {network.architecture}, {network.keypoints} keypoints, {network.links} links, "
        f"input N x 3 x {sides[0]} x {sides[1]}, opset {opset}; "
        f"onnxruntime differs from PyTorch by {difference:.1g}"
    )
    print(_next(path, card, like, sides))


def _sides(text: str) -> tuple[int, int]:
    from posert.errors import ConfigError

    sides = parse_size(text)
    if isinstance(sides, int):
        return sides, sides
    if not isinstance(sides, tuple):
        raise ConfigError("--size", got=text, expected="HxW, pixels, as in 224x224")
    return sides


def _onnx_path(path: Path) -> Path:
    from posert.errors import ConfigError

    if path.suffix != ".onnx":
        raise ConfigError("--output", got=path, expected="a name that ends in .onnx")
    return path


def _default_output(checkpoint: Path) -> Path:
    """Where the card lies that wants an ONNX of this name; else beside the checkpoint."""
    wanted = f"{checkpoint.stem}.onnx"
    places = (card.onnx_path for card in _cards() if card.onnx == wanted)
    return next(places, checkpoint.with_suffix(".onnx"))


def _cards() -> list[ModelCard]:
    """The cards known here; the broken ones are told of by ``posert models``."""
    from posert.engine_builder.card import card_paths, read_card
    from posert.errors import ModelError

    cards = []
    for path in card_paths():
        try:
            cards.append(read_card(path))
        except ModelError:
            continue
    return cards


def _card_beside(path: Path) -> ModelCard | None:
    from posert.engine_builder.card import CARD, find_card

    return find_card(str(path)) if (path.parent / CARD).is_file() else None


def _card_of(architecture: str, keypoints: int, links: int) -> ModelCard | None:
    """A known card of the architecture with as many keypoints and links."""
    from posert.engine_builder.card import read_topology

    for card in _cards():
        if card.onnx.startswith(f"{architecture}_"):
            topology = read_topology(card.topology_path)
            if (len(topology.keypoints), len(topology.links)) == (keypoints, links):
                return card
    return None


def _size_of(card: ModelCard | None) -> tuple[int, int] | None:
    from posert.model_card import height_and_width

    return height_and_width(card.input.size) if card is not None else None


def _check(card: ModelCard | None, file: Path, path: Path) -> None:
    """Holds ``file``, which will be ``path``, against the card."""
    from posert.engine_builder.card import read_topology
    from posert.engine_builder.onnx_check import check_onnx
    from posert.errors import ModelError

    if card is None:
        return
    file = file.resolve()
    try:
        check_onnx(replace(card, onnx=str(file)), read_topology(card.topology_path))
    except ModelError as e:
        raise ModelError(str(e).replace(str(file), str(path))) from e


def _next(
    path: Path, card: ModelCard | None, like: ModelCard | None, sides: tuple[int, int]
) -> str:
    """The line that says what to do with the ONNX."""
    from posert.engine_builder.card import CARD

    if card is not None:
        return f"next: posert run VIDEO --model {path}"
    if like is None:
        return f"next: put a {CARD} and a topology beside it (posert models show prints examples)"
    files = f"{like.folder / CARD} and {like.topology} beside it"
    change = "" if sides == _size_of(like) else f", set its input size to {list(sides)}"
    return f"next: copy {files}{change}, then posert run VIDEO --model {path}"
