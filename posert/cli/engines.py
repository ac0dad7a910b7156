"""``posert engines``: what the engine cache holds, and clearing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from posert.engine_builder.inventory import Entry

app = typer.Typer(help="List the built engines; clear the cache.", invoke_without_command=True)


@app.callback()
def list_engines(
    context: typer.Context,
    json: Annotated[Path | None, typer.Option(help="Write the list to this file.")] = None,
) -> None:
    """List the engines in the cache and whether they can be used here."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

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
    table = Table(box=None, pad_edge=False)
    for column in ("model", "backend", "form", "precision", "device", "MB", "built (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("here")
    for entry in found:
        table.add_row(*map(escape, _row(entry)))
    Console().print(table)


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

    from posert.config import environment
    from posert.engine_builder.inventory import entries, prune

    folder = environment().cache
    now = datetime.now(timezone.utc)

    def unwanted(entry: Entry) -> bool:
        if everything or entry.broken or (foreign and entry.foreign):
            return True
        if older_than is None or entry.manifest is None:
            return False
        return now - entry.manifest.built_at > timedelta(days=older_than)

    freed = []
    for path, size in prune(folder, unwanted):
        freed.append(size)
        print(f"removed {path} ({size / 1e6:.1f} MB)")
    print(f"{sum(freed) / 1e6:.1f} MB freed" if freed else "nothing to remove")
    if others := sum(entry.foreign is not None for entry in entries(folder)):
        print(f"{others} of other devices or versions kept; --foreign removes them")


def _row(entry: Entry) -> tuple[str, ...]:
    size = f"{entry.size_bytes / 1e6:.1f}"
    here = entry.broken or entry.foreign or "usable"
    if (made := entry.manifest) is None:
        return (entry.path.parent.name, "?", "?", "?", "?", size, "?", here)
    device = ", ".join(f"CC {target}" for target in made.targets) or made.device.name
    built = f"{made.built_at:%Y-%m-%d %H:%M}"
    return (made.model, made.backend, made.form, made.precision, device, size, built, here)


def _plain(entry: Entry) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "path": str(entry.path),
        "size_bytes": entry.size_bytes,
        "usable": not (entry.broken or entry.foreign),
        "why_not": entry.broken or entry.foreign,
        "manifest": None if entry.manifest is None else asdict(entry.manifest),
    }
