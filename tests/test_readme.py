"""README's commands are what a newcomer types first: each one runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``command`` in a folder that holds what a checkout holds, with posert on the PATH."""
    for name in ("demo", "configs", "models", "Makefile", "pyproject.toml", "scripts", ".venv"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    installed = command.replace("make ", "make -o .venv/.ready ")  # it is: by what runs this
    outcome = run(installed, tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    for output in re.findall(r"(?:-o|--jsonl) (out/\S*)", command):
        written = tmp_path / output
        files = [p for p in written.iterdir() if p.is_file()] if written.is_dir() else [written]
        assert files
        assert all(p.stat().st_size > 1000 for p in files)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    cv2.imwrite(str(tmp_path / "street.jpg"), np.full((90, 160, 3), 99, np.uint8))
    (tmp_path / "clip.mp4").symlink_to(ROOT / "demo" / "walkers.mp4")
    (tmp_path / "code.py").write_text(code)
    outcome = run(f"{sys.executable} code.py", tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    frames, people, _ = outcome.stdout.split()
    assert int(frames) == 300
    assert int(people) > 300


def test_the_pictures_of_the_readme_are_here() -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).is_file(), picture


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / target).exists(), f"{page}: {target}"
