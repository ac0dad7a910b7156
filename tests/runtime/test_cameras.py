"""Cameras that are absent, no cameras, in use, forbidden or pulled out; no real one is needed."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from making.command import Command
from making.streams import grey

from posert.errors import AccessDenied, InputError, StreamEnded
from posert.runtime.sources import camera as module
from posert.runtime.sources.camera import CameraCapture, check_camera
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Reading, Span
from posert.types import Image

READING = Reading(io="ffmpeg")


class FakeOpenCV:
    """Stands for ``cv2.VideoCapture``: sends its pictures, then nothing more."""

    pictures: list[Image]
    opens = True

    def __init__(self, number: int, backend: int) -> None:
        self.number, self.backend = number, backend
        self.asked: dict[int, float] = {}
        self._left = list(self.pictures)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, what: int, value: float) -> bool:
        self.asked[what] = value
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_POS_MSEC: 1500.0}.get(what, 0.0)

    def read(self) -> tuple[bool, Image | None]:
        return (True, self._left.pop(0)) if self._left else (False, None)

    def release(self) -> None:
        return


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A camera as far as the kernel's answers go, behind OpenCV's fake."""
    path = tmp_path / "video0"
    path.touch()
    FakeOpenCV.pictures = [grey(i, 1280, 720) for i in range(3)]
    FakeOpenCV.opens = True
    monkeypatch.setattr(cv2, "VideoCapture", FakeOpenCV)
    monkeypatch.setattr(module, "_number", lambda device: 0)
    monkeypatch.setattr("posert.runtime.sources.camera.fcntl.ioctl", answers())
    return path


def answers(capabilities: int = 1, busy: bool = False) -> Callable[..., bytes]:
    def ioctl(handle: int, request: int, given: bytes) -> bytes:
        if request == module._REQBUFS:
            if busy:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            return given
        return given[:84] + struct.pack("II", capabilities, 0) + given[92:]

    return ioctl


def test_pictures_come_with_the_cameras_clock_and_rate(device: Path) -> None:
    with closing(CameraCapture(f"v4l2://{device}", READING)) as capture:
        captured = capture.read()
        assert isinstance(captured.picture, np.ndarray)
        assert captured.picture.shape == (720, 1280, 3)
        assert captured.clock_s == 1.5
        assert capture.rate == 30


@pytest.mark.parametrize(
    ("query", "wanted"), [("", (1280, 720, 30)), ("?width=640&height=480&fps=15", (640, 480, 15))]
)
def test_mjpeg_of_the_size_wished_is_asked_for(
    device: Path, query: str, wanted: tuple[int, int, int]
) -> None:
    with closing(CameraCapture(f"v4l2://{device}{query}", READING)) as capture:
        opencv: Any = capture._capture
    assert opencv.backend == cv2.CAP_V4L2
    properties = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    assert tuple(opencv.asked[p] for p in properties) == wanted
    assert opencv.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")


def test_a_camera_pulled_out_while_it_is_read_is_told(device: Path) -> None:
    with closing(CameraCapture(f"v4l2://{device}", READING)) as capture:
        for _ in range(3):
            capture.read()
        with pytest.raises(StreamEnded, match="sends no picture; plug it out and in again"):
            capture.read()
        device.unlink()
        with pytest.raises(StreamEnded, match="was unplugged; plug it in again"):
            capture.read()


def test_a_camera_that_is_plugged_in_again_is_found(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_source(f"v4l2://{device}", READING)) as source:
        assert source.health is not None
        frames = source.frames(Span())
        while source.health.reconnects == 0:  # each connection has three pictures
            assert next(frames).size == (1280, 720)


@pytest.mark.parametrize("camera", ["63", "/dev/video63", "v4l2:///dev/video63"])
def test_a_camera_that_is_not_there_is_refused_at_once(
    posert: Command, tmp_path: Path, dots: Path, camera: str
) -> None:
    outcome = posert("run", camera, "--model", dots, "--jsonl", tmp_path / "o.jsonl")
    assert outcome.code == 3
    line = f"posert: {camera}: cannot be opened: got no /dev/video63, expected a camera"
    assert line in outcome.refusal()
    assert "/dev/video*" in outcome.refusal()
    assert "password" not in outcome.refusal()


def test_opencv_adds_no_lines_about_a_camera_that_is_not_there(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError):
        open_source("63", READING)
    assert capfd.readouterr().err == ""


def test_a_camera_is_waited_for_where_that_is_wished() -> None:
    with pytest.raises(InputError, match=r"no /dev/video63.*gave up after 0\.5 s"):
        open_source("63", Reading(io="ffmpeg", give_up_s=0.5))


def test_a_plain_file_is_no_camera(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.write_text("not a device")
    with pytest.raises(InputError, match=f"{path} is no camera, expected a camera"):
        check_camera(f"v4l2://{path}")


def test_a_device_without_pictures_is_no_camera(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.runtime.sources.camera.fcntl.ioctl", answers(capabilities=0))
    with pytest.raises(InputError, match=r"is no camera.*a second device without pictures"):
        check_camera(f"v4l2://{device}")


def test_a_camera_that_another_program_uses_is_told(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.runtime.sources.camera.fcntl.ioctl", answers(busy=True))
    with pytest.raises(InputError, match=r"is used by another program.*fuser"):
        open_source(f"v4l2://{device}", READING)


def test_a_camera_this_user_may_not_read_is_told(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("posert.runtime.sources.camera.os.open", refuse)
    with pytest.raises(AccessDenied, match="Permission denied; add the user to the group video"):
        check_camera(f"v4l2://{device}")


def test_a_camera_that_opencv_cannot_open_is_told(device: Path) -> None:
    FakeOpenCV.opens = False
    with pytest.raises(InputError, match="cannot be opened: expected a camera"):
        CameraCapture(f"v4l2://{device}", READING)


@pytest.mark.parametrize("text", ["/dev/video", "/dev/video0x"])
def test_a_wrong_camera_path_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        open_source(text)
