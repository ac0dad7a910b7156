"""Disks that are full or cannot be written: a run goes on where it can; the rest is a line."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from making.pictures import picture
from plans import builds, engines_in, provided

from posert.errors import OutputError
from posert.pose import Pose
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")

COMPACT: dict[str, Any] = {"form": "compact"}


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that cannot be written, by root either: a file is in its place."""
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "file"))
    return tmp_path / "file"


def test_a_run_goes_on_without_a_cache(
    dots: Path, unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pose = Pose(dots, **COMPACT)
    assert len(pose(picture())) == 1
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"engine cache {unwritable}: cannot be written" in warnings[0]
    assert warnings[0].endswith("; the engine is not kept")
    assert unwritable.read_text() == "mine"


def test_building_an_engine_to_keep_fails_without_a_cache(dots: Path, unwritable: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: got File exists; set POSERT_CACHE"):
        provided(dots, **COMPACT)


def test_a_full_disk_does_not_build_twice(
    dots: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from posert.engine_builder import cache as module

    write = module._write

    def full(path: Path, data: bytes) -> None:
        if path.is_relative_to(cache_folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(module, "_write", full)
    caplog.set_level("INFO")
    assert len(Pose(dots, **COMPACT)(picture())) == 1
    assert builds(caplog) == 1
    assert "No space left on device" in caplog.text
    assert engines_in(cache_folder) == []


@pytest.mark.parametrize("settings", [COMPACT, {"precision": "int8"}], ids=str)
def test_no_room_for_temporary_files_is_a_line(
    dots: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(OutputError, match=r"temporary folder: cannot be written.*TMPDIR"):
        provided(dots, BuildSettings(calibration=pictures), **settings)
    caplog.set_level("INFO")
    if "form" in settings:
        with pytest.raises(OutputError, match="temporary folder: cannot be written"):
            Pose(dots, **settings)
        assert builds(caplog) == 1


def test_a_disk_that_fills_up_while_an_engine_is_judged_is_a_line(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="temporary folder: cannot be written: got File too larg"):
        provided(dots, **COMPACT)
