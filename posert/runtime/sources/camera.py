"""Cameras of this machine, through OpenCV's V4L2 capture."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EBUSY, ENODEV, ENOENT, ENOTTY, ENXIO, EPERM
from fractions import Fraction
from typing import Any, Final

import cv2
import numpy as np

from posert.errors import AccessDenied, InputError, StreamEnded
from posert.runtime.pipelines.reading import Camera
from posert.runtime.sources.source import Captured, Reading

_SIZE: Final = (1280, 720)  # what most cameras send as MJPEG at their full rate
_RATE: Final = 30
_LIST: Final = "ls /dev/video* lists the cameras"
_SILENT: Final = 0  # OpenCV's LOG_LEVEL_SILENT
_log_level = threading.Lock()  # it is one for all threads
# of linux/videodev2.h: struct v4l2_capability, v4l2_requestbuffers
_QUERYCAP: Final = 0x80685600
_REQBUFS: Final = 0xC0145608
_VIDEO_CAPTURE: Final = 1  # the type of buffer, and the bit of a device that captures
_MULTIPLANAR: Final = 0x1000  # the bit of one that captures in several planes
_MMAP: Final = 1


class CameraCapture:
    """A V4L2 camera (``0``, ``/dev/video0``, ``v4l2:///dev/video0?width=640&height=480&fps=30``).

    It is asked for MJPEG of 1280x720 where nothing else is wished, and sends what is nearest.

    Raises:
        AccessDenied: this user may not read it.
        InputError: it is absent, no camera, used by another program, or cannot be opened.
    """

    def __init__(self, address: str, reading: Reading) -> None:
        self.skipped = 0  # a damaged one cannot be told
        self._name = address
        camera = Camera.parse(address)
        self._device = camera.device
        self._use = threading.Lock()  # releasing during a read crashes OpenCV
        check_camera(address)
        with _quiet_opencv():
            self._capture = cv2.VideoCapture(_number(self._device), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise InputError(f"{address}: cannot be opened", expected="a camera", fix=_LIST)
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, camera.width or _SIZE[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.height or _SIZE[1])
        self._capture.set(cv2.CAP_PROP_FPS, float(camera.rate or _RATE))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 480 else None

    def read(self) -> Captured:
        with self._use:
            ok, image = self._capture.read()
            clock_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not ok or image is None:
            if not os.path.exists(self._device):
                raise StreamEnded(f"{self._name}: was unplugged", fix="plug it in again")
            raise StreamEnded(f"{self._name}: sends no picture", fix="plug it out and in again")
        return Captured(np.asarray(image, np.uint8), clock_s if clock_s > 0 else None)

    def close(self) -> None:
        if self._use.acquire(blocking=False):  # else the thread that reads closes it afterwards
            try:
                self._capture.release()
            finally:
                self._use.release()


def check_camera(address: str) -> None:
    """Asks the device itself what OpenCV does not tell.

    Raises:
        AccessDenied: this user may not read it.
        InputError: it is absent, no camera, or used by another program.
    """
    device = Camera.parse(address).device
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        try:
            _query(handle)
        finally:
            os.close(handle)
    except OSError as e:
        raise _refusal(address, device, e) from e


def _query(handle: int) -> None:
    """Raises OSError where the device captures no video, or another program uses it."""
    answer = fcntl.ioctl(handle, _QUERYCAP, bytes(104))
    capabilities, own = struct.unpack_from("II", answer, 84)
    if not (own or capabilities) & (_VIDEO_CAPTURE | _MULTIPLANAR):
        raise OSError(ENOTTY, "captures no video")
    try:  # to ask for no buffers changes nothing, and is refused while another program has some
        fcntl.ioctl(handle, _REQBUFS, struct.pack("IIIII", 0, _VIDEO_CAPTURE, _MMAP, 0, 0))
    except OSError as e:
        if e.errno == EBUSY:
            raise


def _refusal(address: str, device: str, error: OSError) -> InputError:
    if error.errno in (EACCES, EPERM):
        return AccessDenied(
            f"{address}: cannot be opened", got=f"{device}: {error.strerror}",
            fix="add the user to the group video; a container needs --device and --group-add",
        )  # fmt: skip
    got, fix = {
        ENOENT: (f"no {device}", _LIST),
        ENXIO: (f"no camera behind {device}", _LIST),
        ENODEV: (f"no camera behind {device}", _LIST),
        ENOTTY: (f"{device} is no camera", f"{_LIST}; many have a second device without pictures"),
        EBUSY: (f"{device} is used by another program", f"fuser {device} tells which; end it"),
    }.get(error.errno or 0, (f"{device}: {error.strerror}", _LIST))
    return InputError(f"{address}: cannot be opened", got=got, expected="a camera", fix=fix)


def _number(device: str) -> int:
    """OpenCV takes a number: /dev/v4l/by-id/... is a link to /dev/video3."""
    name = os.path.realpath(device).removeprefix("/dev/video")
    if not name.isdecimal():
        raise InputError(f"{device}: cannot be opened", expected="/dev/videoN", fix=_LIST)
    return int(name)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV's own lines off stderr: what is wrong is told by ours."""
    level: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # 4, and 5
    with _log_level:
        before = level.getLogLevel()
        level.setLogLevel(_SILENT)
        try:
            yield
        finally:
            level.setLogLevel(before)
