"""``posert models``: the models known here, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posert.errors import ModelError

app = typer.Typer(help="List the models; show a model's card.", invoke_without_command=True)


@app.callback()
def list_models(context: typer.Context) -> None:
    """List the models known here."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from posert.engine_builder.card import card_paths

    broken: list[str] = []
    table = Table(box=None, pad_edge=False)
    for column in ("model", "input", "AP", "ONNX"):
        table.add_column(column, no_wrap=True)
    table.add_column("licence")
    for path in card_paths():
        name = path.parent.name  # by which it is found
        try:
            table.add_row(*map(escape, (name, *_row(path))))
        except ModelError as e:  # the others are listed all the same
            broken.append(f"{name}  broken: {e}")
    Console().print(table)
    for line in broken:  # too long for a cell
        print(line)


def _row(path: Path) -> tuple[str, str, str, str]:
    """What the list tells of the card in ``path``, after its name."""
    from textwrap import shorten

    from posert.engine_builder.card import read_card

    card = read_card(path)
    size = card.input.size
    shape = str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
    ap = f"{card.measured[-1].ap:.3f}" if card.measured else "not measured"
    here = "here" if card.onnx_path.is_file() else "bring it"
    return shape, ap, here, shorten(card.licence, 20, placeholder=" ...")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name of `posert models`, a folder or a card.")],
) -> None:
    """Print a model's card and its keypoints."""
    from posert.engine_builder.card import CARD, find_card, read_topology

    card = find_card(name)
    topology = read_topology(card.topology_path)
    print((card.folder / CARD).read_text(encoding="utf-8").rstrip())
    print(f"# {len(topology.keypoints)} keypoints: {', '.join(topology.keypoints)}")
    print(f"# {len(topology.links)} links")
    if not card.onnx_path.is_file():
        print(f"# {card.onnx_path} is not there yet: see source")
