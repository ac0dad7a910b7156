"""Which encoder a video gets where nobody names one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from posert.runtime.sinks import video_writer
from posert.types import SourceInfo

CAMERA = SourceInfo("0", 96, 64, Fraction(25), Fraction(1, 25), live=True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """On a Jetson: FFmpeg has no encoder in hardware, GStreamer has. What it was asked to open."""
    names: list[str] = []

    def open_(target: str, info: SourceInfo, encoder: str) -> Any:
        names.append(encoder)

    monkeypatch.setattr("posert.runtime.video_io.why_no_encoder", lambda name: None)
    monkeypatch.setattr("posert.runtime.sinks.video.works", lambda name: name == "libx264")
    monkeypatch.setattr("posert.runtime.sinks.gstreamer.GstWriter", open_)
    return names


def test_on_jetson_its_own_encoder_is_taken(opened: list[str], tmp_path: Path) -> None:
    video_writer(tmp_path / "camera.mp4", CAMERA, "auto")
    assert opened == ["nvv4l2h264enc"]


def test_on_jetson_sound_is_not_lost(opened: list[str], tmp_path: Path, walk: Path) -> None:
    sound = replace(CAMERA, live=False, audio=walk)
    video_writer(tmp_path / "clip.mp4", sound, "auto").close()
    assert opened == []


def test_who_names_an_encoder_gets_it(opened: list[str], tmp_path: Path) -> None:
    video_writer(tmp_path / "camera.mp4", CAMERA, "libx264").close()
    assert opened == []
