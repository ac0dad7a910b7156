"""``posert health``: what a container's health check asks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from making.command import Command

from posert.status import SourceStatus, StatusFile

CAMERA = SourceStatus("door", "live", 12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def test_a_run_at_work_is_healthy(posert: Command, path: Path) -> None:
    StatusFile(path).update([CAMERA])
    outcome = posert("health", path)
    assert (outcome.code, outcome.out) == (0, "healthy: 1 live\n")


def test_a_status_that_grew_old_is_not(posert: Command, path: Path) -> None:
    StatusFile(path, lambda: time.monotonic() - 60).update([CAMERA])
    outcome = posert("health", path)
    assert outcome.code == 8
    assert outcome.out.startswith("unhealthy: the status is 6")
    assert posert("health", path, "--max-age", "90").code == 0


def test_a_stalled_camera_is_unhealthy_only_when_asked_strictly(
    posert: Command, path: Path
) -> None:
    StatusFile(path).update([CAMERA, SourceStatus("yard", "stalled", 3)])
    assert posert("health", path).code == 0
    outcome = posert("health", path, "--strict")
    assert (outcome.code, outcome.out) == (8, "unhealthy: 1 live; yard: stalled\n")


@pytest.mark.parametrize(("code", "health"), [(0, 0), (143, 0), (7, 8)])
def test_a_run_that_ended_is_as_healthy_as_its_end(
    posert: Command, path: Path, code: int, health: int
) -> None:
    StatusFile(path).close(code)
    outcome = posert("health", path)
    assert outcome.code == health
    assert f"ended with code {code}" in outcome.out


def test_no_status_is_one_line(posert: Command, path: Path) -> None:
    outcome = posert("health", path)
    assert outcome.code == 8
    assert outcome.out.startswith(f"unhealthy: {path}: no status: got No such file")
    assert len(outcome.out.splitlines()) == 1


def test_the_file_may_come_from_the_environment(
    posert: Command, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSERT_STATUS", str(path))
    StatusFile(path).update([CAMERA])
    assert posert("health").code == 0
    monkeypatch.delenv("POSERT_STATUS")
    assert posert("health").code == 2
