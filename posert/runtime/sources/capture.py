"""Cameras and network streams, through OpenCV's FFmpeg and V4L2 capture."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from posert.errors import InputError
from posert.runtime.sources.source import Health, Span
from posert.types import Frame, SourceInfo

_MICROSECOND = Fraction(1, 1_000_000)
_TIMEOUT_MS = 10_000.0
_SILENT = 0  # OpenCV's LOG_LEVEL_SILENT
_CAMERA_ADVICE = "ls /dev/video* lists the cameras; does another program use it?"


class Capture:
    """A camera (``0``, ``/dev/video0``) or a URL (RTSP, HTTP, UDP, ...).

    Raises:
        InputError: it cannot be opened, or sends no picture.
    """

    def __init__(self, address: str) -> None:
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = None
        self._name = without_password(address)
        self._reading = threading.Lock()
        with _quiet_opencv():
            self._capture = _open(address, self._name)
            ok, first = self._capture.read()
        if not ok or first is None:
            self._capture.release()
            fix = "check that the address is a video stream" if "://" in address else _CAMERA_ADVICE
            raise InputError(f"{self._name}: opened, but sends no picture", fix=fix)
        self._first = np.asarray(first, np.uint8)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        sane = 0 < rate < 1000
        self._finite = urlsplit(address).scheme in ("http", "https") and count > 0 and sane
        self.info = SourceInfo(
            name=self._name,
            width=self._first.shape[1],
            height=self._first.shape[0],
            rate=Fraction(rate).limit_denominator(1001) if sane else Fraction(30),
            time_base=_MICROSECOND,
            frames=int(count) if self._finite else None,
            live=not self._finite,
        )

    def frames(self, span: Span) -> Iterator[Frame]:
        info, began, taken, index = self.info, time.monotonic(), 0, 0
        image: np.ndarray | None = self._first
        while image is not None and (span.max_frames is None or taken < span.max_frames):
            time_s = float(index / info.rate) if self._finite else time.monotonic() - began
            if time_s >= span.start_s and index % span.every == 0:
                taken += 1
                yield Frame(image, index, round(time_s / _MICROSECOND), time_s)
            index += 1
            image = self._read()
        if info.live and image is None:
            raise InputError(f"{self._name}: stopped sending after {index} frames")

    def close(self) -> None:
        if self._reading.acquire(timeout=1):  # releasing during a read crashes: leave it then
            self._capture.release()

    def _read(self) -> np.ndarray | None:
        with self._reading:
            ok, image = self._capture.read()
        if not ok or image is None:
            return None
        if image.shape[:2] != (self.info.height, self.info.width):
            image = cv2.resize(image, (self.info.width, self.info.height))
        return np.asarray(image, np.uint8)


def is_address(text: str) -> bool:
    """Whether ``text`` is a camera or a URL rather than a path."""
    return re.fullmatch(r"(/dev/video)?[0-9]+", text) is not None or "://" in text


def without_password(address: str) -> str:
    """``rtsp://user:secret@host`` as ``rtsp://user:***@host``; for logs and results."""
    hidden = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", address)
    return re.sub(r"(?i)([?&](pass\w*|pwd|token|key|secret)=)[^&#]*", r"\1***", hidden)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV's own lines off stderr: what is wrong is told by ours."""
    level: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # 4, and 5
    before = level.getLogLevel()
    level.setLogLevel(_SILENT)
    try:
        yield
    finally:
        level.setLogLevel(before)


def _open(address: str, name: str) -> cv2.VideoCapture:
    if "://" not in address:
        index = int(address.removeprefix("/dev/video"))
        capture = cv2.VideoCapture(index)
        expected, fix = "a camera", _CAMERA_ADVICE
    else:
        timeouts = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(_TIMEOUT_MS),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(_TIMEOUT_MS),
        ]  # fmt: skip
        capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
        expected = f"a stream within {_TIMEOUT_MS / 1000:.0f} s"
        fix = "check address, user and password"
    if not capture.isOpened():
        raise InputError(f"{name}: cannot be opened", expected=expected, fix=fix)
    return capture
