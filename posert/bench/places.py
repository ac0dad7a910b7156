"""Where a result goes, looked at before anything is measured."""

from __future__ import annotations

from pathlib import Path

from posert.bench.plot import require_matplotlib
from posert.errors import ConfigError, OutputError
from posert.runtime.sinks.sink import unwritable


def check_places(json: Path | None, plot: Path | None) -> None:
    """Looks whether both can be written; what is there already stays as it is.

    Raises:
        ConfigError: there is no matplotlib, both are one file, or the plot's name is no PNG's.
        OutputError: one cannot be written.
    """
    if plot is not None:
        require_matplotlib()
        if plot.suffix.lower() != ".png":
            raise ConfigError(f"--plot {plot}", got=plot.suffix or "no ending", expected=".png")
        if json is not None and json.resolve() == plot.resolve():
            raise ConfigError("--json and --plot", got="one file", expected="two")
    for path in (json, plot):
        if path is not None and str(path) != "-":  # stdout
            _check_place(path)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", expected="a file")
    new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as e:
        raise unwritable(path, e) from e
