"""The Dockerfile's `cpu` target, executed step by step in a chroot.

On demand, as it takes minutes and needs root and debootstrap: POSERT_REQUIRE_CHROOT=1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from making.chroot import Image, build, context_of, debian
from making.dockerfile import read_dockerfile

PROJECT = Path(__file__).parents[1]
FILE = read_dockerfile(PROJECT / "Dockerfile")
CLIP = "/opt/posert/lib/python3.11/site-packages/posert/demo/walkers.mp4"
pytestmark = pytest.mark.skipif(
    os.environ.get("POSERT_REQUIRE_CHROOT") != "1", reason="POSERT_REQUIRE_CHROOT is not 1"
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    assert os.geteuid() == 0, "POSERT_REQUIRE_CHROOT=1, but not root"
    assert shutil.which("debootstrap"), "POSERT_REQUIRE_CHROOT=1, but there is no debootstrap"
    folder = tmp_path_factory.mktemp("chroot")
    released = re.match(r"debian:(\w+)-", FILE.stages["cpu"].base)
    assert released is not None
    context = context_of(PROJECT, folder / "context")
    base = debian(folder / "base", released[1])
    yield build(FILE, "cpu", context, base, folder)
    shutil.rmtree(folder)


def test_the_program_works_as_a_user_without_rights(image: Image) -> None:
    assert image.user not in ("0", "root")
    done = image.start("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ok +self-test", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +engine cache: /var/cache/posert", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("user", [None, "12345"])
def test_a_run_writes_its_files_and_its_health(image: Image, user: str | None) -> None:
    name = f"out/{user}.jsonl"
    options = ["--config", "configs/file.yaml", "--jsonl", name, "--max-frames", "5"]
    done = image.start("run", CLIP, "-o", f"out/{user}.mp4", *options, user=user)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (image.root / "work" / name).read_text().splitlines()
    assert len(lines) == 5
    assert json.loads(lines[0])["people"]
    (ask,) = [s.text for s in FILE.stages["cpu"].steps if s.name == "HEALTHCHECK"]
    health = image.run(*json.loads(ask.removeprefix("CMD ")), user=user)
    assert health.returncode == 0, health.stdout + health.stderr
    assert "ended with code 0" in health.stdout
    (image.root / "tmp/posert-status.json").unlink()


def test_a_run_is_healthy_while_it_works_and_completes_its_files_when_stopped(image: Image) -> None:
    script = f"""
        posert run {CLIP} -o out/stopped.mp4 --precision fp32 & run=$!
        until posert health | grep "1 running"; do sleep 0.2; done
        kill -TERM $run; wait $run; echo "code $?"; posert health
    """
    done = image.run("timeout", "120", "sh", "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "healthy: 1 running" in done.stdout
    assert "code 143" in done.stdout
    assert "healthy: ended with code" in done.stdout
    assert (image.root / "work/out/stopped.mp4").stat().st_size > 0
    (image.root / "tmp/posert-status.json").unlink()


def test_the_image_holds_no_more_than_it_needs(image: Image) -> None:
    for tool in ("cc", "gcc", "g++", "make", "git"):
        assert image.run("which", tool).returncode != 0, tool
    assert list((image.root / "var/lib/apt/lists").iterdir()) == []
    assert list(image.root.rglob("*.engine")) == []
    assert not (image.root / "wheel").exists()
