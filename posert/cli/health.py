"""``posert health``: whether a run that is under way does its work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def health(
    file: Annotated[
        Path, typer.Argument(help="What `posert run --status` writes.", envvar="POSERT_STATUS")
    ],
    max_age: Annotated[
        float, typer.Option(help="Seconds after which a status is too old.", min=1.0)
    ] = 10.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Every source must give pictures, or be done.")
    ] = False,
) -> None:
    """Tell whether the run that writes FILE is healthy: exit code 0, else 8.

    Healthy is a run that wrote FILE lately and has a source at work, be it trying to reach a camera
    again; and a run that ended well. Made for a container's health check.
    """
    import time

    from posert.errors import DOCTOR_FOUND_FAULT, InputError
    from posert.status import Verdict, judge, read_status

    try:
        verdict = judge(read_status(file), time.monotonic(), max_age, strict)
    except InputError as e:
        verdict = Verdict(False, str(e))
    print(f"{'healthy' if verdict.healthy else 'unhealthy'}: {verdict.line}")
    if not verdict.healthy:
        raise typer.Exit(DOCTOR_FOUND_FAULT)
