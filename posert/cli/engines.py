"""``posert engines``: what the engine cache holds, and clearing it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from posert.engine_builder.inventory import Entry

_COLUMNS = ("model", "backend", "form", "precision", "device", "MB", "built (UTC)", "here")

app = typer.Typer(help="List the built engines; clear the cache.", invoke_without_command=True)


@app.callback()
def list_engines(
    context: typer.Context,
    json: Annotated[Path | None, typer.Option(help="Write the list to this file.")] = None,
) -> None:
    """List the engines in the cache and whether they can be used here."""
    if context.invoked_subcommand is not None:
        return
    from posert.config import environment
    from posert.engine_builder.inventory import entries
    from posert.runtime.sinks.sink import write_json

    folder = environment().cache
    found = list(entries(folder))
    if json is not None:
        write_json(json, {"folder": str(folder), "engines": [_plain(entry) for entry in found]})
    if not found:
        print(f"no engines in {folder}")
        return
    rows = [_row(entry) for entry in found]
    if sys.stdout.isatty():
        _print_folded(rows)
    else:
        _print_lines(rows)


@app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every engine.")] = False,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="Also those of other devices and versions.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Also those built more than DAYS days ago."),
    ] = None,
) -> None:
    """Remove damaged engines and what killed builds left."""
    from datetime import datetime, timedelta, timezone

    from posert.cli.progress import start_logging
    from posert.config import environment
    from posert.engine_builder.inventory import entries, prune

    start_logging(quiet=False)
    folder = environment().cache
    now = datetime.now(timezone.utc)

    def unwanted(entry: Entry) -> bool:
        if everything or entry.broken or (foreign and entry.foreign):
            return True
        if older_than is None or entry.manifest is None:
            return False
        return (now - entry.manifest.built_at) / timedelta(days=1) > older_than

    freed = []
    for path, size in prune(folder, unwanted):
        freed.append(size)
        print(f"removed {path} ({size / 1e6:.1f} MB)")
    print(f"{sum(freed) / 1e6:.1f} MB freed" if freed else "nothing to remove")
    if others := sum(entry.foreign is not None for entry in entries(folder)):
        print(f"{others} of other devices or versions kept; --foreign removes them")


def _row(entry: Entry) -> tuple[str, ...]:
    size = f"{entry.size_bytes / 1e6:.1f}"
    here = entry.broken or entry.foreign or _usable(entry)
    if (made := entry.manifest) is None:
        return (entry.path.parent.name, "?", "?", "?", "?", size, "?", here)
    device = ", ".join(f"CC {target}" for target in made.targets) or made.device.name
    built = f"{made.built_at:%Y-%m-%d %H:%M}"
    return (made.model, made.backend, made.form, made.precision, device, size, built, here)


def _usable(entry: Entry) -> str:
    gate = None if entry.manifest is None else entry.manifest.gate
    return "usable" if gate is None or gate.passed else "usable, but the gate refused it"


def _print_lines(rows: list[tuple[str, ...]]) -> None:
    """One full line for each engine, however long: to be searched and piped."""
    lines = [_COLUMNS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _print_folded(rows: list[tuple[str, ...]]) -> None:
    """Three columns of two lines, which 80 characters hold; what is longer is wrapped."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("engine", "for", "here", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        model, backend, form, precision, device, size, built, here = map(escape, row)
        engine = f"{model}\n{backend} {precision} {form}"
        table.add_row(engine, f"{device}\n{size} MB, {built}", here)
    Console().print(table)


def _plain(entry: Entry) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "path": str(entry.path),
        "size_bytes": entry.size_bytes,
        "usable": not (entry.broken or entry.foreign),
        "why_not": entry.broken or entry.foreign,
        "manifest": None if entry.manifest is None else asdict(entry.manifest),
    }
