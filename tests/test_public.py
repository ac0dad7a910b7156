"""What users import and call stays as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from making.command import Command

import posert as package

HEAVY = ("numpy", "cv2", "onnxruntime", "onnx", "av", "scipy", "yaml")


def test_public_names_are_these() -> None:
    assert set(package.__all__) == {
        "People",
        "Pose",
        "Report",
        "RunSettings",
        "build_engine",
        "run",
    }
    for name in package.__all__:
        assert getattr(package, name).__name__ == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Posse'"):
        _ = package.Posse


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom posert.cli import main\n"
        "try:\n    main()\n"
        f"except SystemExit as e:\n    print([m for m in {HEAVY} if m in sys.modules], e.code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[] 0"


def test_version_is_printed(posert: Command) -> None:
    outcome = posert("--version")
    assert (outcome.code, outcome.out) == (0, f"posert {package.__version__}\n")


def test_an_unknown_option_is_a_usage_error(posert: Command) -> None:
    outcome = posert("run", "clip.mp4", "--treshold", "0.1")
    assert outcome.code == 2
    assert "--threshold" in outcome.err
