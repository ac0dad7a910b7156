"""Which library is taken for an input, and what is said of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from making.clips import clip

from posert.errors import ConfigError
from posert.runtime import video_io
from posert.runtime.elements import packages
from posert.runtime.video_io import choose, why_not

SOFTWARE = frozenset(
    {"filesrc", "qtdemux", "matroskademux", "h264parse", "avdec_h264", "videoconvert", "appsink"}
    | {"rtspsrc", "decodebin", "v4l2src", "souphttpsrc"}
)
JETSON = SOFTWARE | {"nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"}


def machine(patch: pytest.MonkeyPatch, elements: frozenset[str], nvcodec: bool = False) -> None:
    patch.setattr(video_io, "opencv_has_gstreamer", lambda: bool(elements))
    patch.setattr(video_io, "why_no_gstreamer", lambda: None)
    patch.setattr(video_io, "available", lambda: elements)
    patch.setattr(packages, "available", lambda: elements)
    if nvcodec:
        patch.setattr(video_io, "_why_no_nvcodec", lambda kind: None)
    video_io._tell.cache_clear()


def test_jetson_decodes_in_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, JETSON)
    assert {
        kind: choose("auto", kind) for kind in ("file", "rtsp", "v4l2", "csi")
    } == dict.fromkeys(("file", "rtsp", "v4l2", "csi"), "gstreamer")
    assert choose("auto", "udp") == "ffmpeg"


def test_gstreamer_without_hardware_is_not_taken_unasked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, SOFTWARE)
    with caplog.at_level(logging.INFO):
        assert choose("auto", "file") == "ffmpeg"
        assert choose("auto", "file") == "ffmpeg"
    assert caplog.text.count("gstreamer: it has no hardware to decode h264") == 1  # said once
    assert choose("gstreamer", "file") == "gstreamer"


def test_nvcodec_is_first_where_pictures_may_stay_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, JETSON, nvcodec=True)
    assert choose("auto", "file", on_device=True) == "nvcodec"
    assert choose("auto", "file", on_device=False) == "gstreamer"


def test_a_wish_that_cannot_be_met_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, frozenset())
    with pytest.raises(ConfigError, match="this OpenCV is built without GStreamer"):
        choose("gstreamer", "file")
    with pytest.raises(ConfigError, match="FFmpeg cannot read csi"):
        choose("ffmpeg", "csi")
    machine(monkeypatch, SOFTWARE - {"rtspsrc"})
    with pytest.raises(ConfigError, match=r"rtspsrc \(Debian: gstreamer1.0-plugins-good\)"):
        choose("gstreamer", "rtsp")
    machine(monkeypatch, SOFTWARE - {"avdec_h264"})
    path = clip(tmp_path / "in.mp4", 2)
    with pytest.raises(ConfigError, match=r"avdec_h264 \(Debian: gstreamer1.0-libav\)"):
        choose("gstreamer", "file", path=path)


def test_a_codec_gstreamer_is_not_used_for_goes_through_ffmpeg(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, JETSON)
    path = clip(tmp_path / "in.mkv", 2, codec="ffv1")
    assert choose("auto", "file", path=path) == "ffmpeg"
    assert why_not("gstreamer", "file", path) == "it is not used for ffv1 in matroska,webm"
