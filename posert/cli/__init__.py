"""The command line. Each command is a file; heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys

import typer

from posert.cli import bench, build_engine, doctor, engines, evaluate, export, health, models, run
from posert.errors import PosertError

app = typer.Typer(
    help="PoseRT finds the people in pictures, videos, cameras and streams and draws their poses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("build-engine")(build_engine.build_engine)
app.command("export")(export.export)
app.command("eval")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.command("health")(health.health)
app.add_typer(models.app, name="models")
app.add_typer(engines.app, name="engines")


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Show the version and stop."),
) -> None:
    if version:
        from posert.version import __version__

        print(f"posert {__version__}")
        raise typer.Exit


def _open_closed() -> None:
    """Standard streams that are closed, as for some daemons: no file of ours is to be one."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def main() -> None:
    """The ``posert`` command: a refusal is one line on stderr and its exit code."""
    _open_closed()
    try:
        app()
    except PosertError as e:
        print(f"posert: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
