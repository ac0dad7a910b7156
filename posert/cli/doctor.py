"""``posert doctor``: what is here, what is missing, what to do, and a self-test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
) -> None:
    """Show what this machine has, what is missing and what to do; test the shipped clip."""
    from dataclasses import asdict

    from posert.doctor import examine
    from posert.errors import DOCTOR_FOUND_FAULT
    from posert.runtime.sinks.sink import write_json

    checks = []
    for check in examine():
        checks.append(check)
        print(f"{check.state:8} {check.name}: {check.found}")
        if check.advice and check.state != "ok":
            print(f"{'':8}   -> {check.advice}")
    if json is not None:
        write_json(json, {"checks": [asdict(check) for check in checks]})
    broken = [check.name for check in checks if check.state == "broken"]
    print(f"broken: {', '.join(broken)}" if broken else "all that is needed works")
    if broken:
        raise typer.Exit(DOCTOR_FOUND_FAULT)
