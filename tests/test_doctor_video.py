"""What the doctor says of reading and writing videos."""

from __future__ import annotations

import pytest

from posert import doctor
from posert.runtime import video_io
from posert.runtime.video_io import KINDS


def test_every_kind_of_input_is_told_with_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_io, "opencv_has_gstreamer", lambda: False)
    checks = {check.name: check for check in doctor._reads()}
    assert set(checks) == {f"reads {kind}" for kind in KINDS}
    assert checks["reads file"].found.startswith("ffmpeg (")
    assert "this OpenCV is built without GStreamer" in checks["reads file"].found
    assert checks["reads csi"].state == "missing"
    assert "FFmpeg cannot read csi" in checks["reads csi"].found


@pytest.mark.gst
def test_missing_elements_are_named_with_what_brings_them(gst: None) -> None:
    checks = {check.name: check for check in doctor._reads()}
    assert "nvarguscamerasrc (JetPack: nvidia-l4t-gstreamer)" in checks["reads csi"].found
    encoders = doctor._gst_encoders()
    assert encoders.found.startswith("x264enc, openh264enc")
    assert "nvv4l2h264enc (JetPack" in encoders.found
