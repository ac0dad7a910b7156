"""``posert models``: the models known here, and their cards."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List the models; show a model's card.", invoke_without_command=True)


@app.callback()
def list_models(context: typer.Context) -> None:
    """List the models known here."""
    if context.invoked_subcommand is not None:
        return
    from textwrap import shorten

    from rich.console import Console
    from rich.table import Table

    from posert.engine_builder.card import card_paths, read_card

    table = Table(box=None, pad_edge=False)
    for column in ("model", "input", "AP", "ONNX"):
        table.add_column(column, no_wrap=True)
    table.add_column("licence")
    for card in map(read_card, card_paths()):
        size = card.input.size
        shape = str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
        ap = f"{card.measured[-1].ap:.3f}" if card.measured else "not measured"
        here = "here" if card.onnx_path.is_file() else "bring it"
        licence = shorten(card.licence, 20, placeholder=" ...")
        table.add_row(card.name, shape, ap, here, licence)
    Console().print(table)


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
