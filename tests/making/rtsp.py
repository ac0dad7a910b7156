"""A real RTSP server on the loopback, started, frozen and killed as tests ask."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from posert.types import Image

SCRIPT = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"  # python3-gi is of the system
BLOCK, BITS = 8, 32  # as in rtsp_server.py
_NEEDS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert all(map(Gst.ElementFactory.find, ('appsrc', 'x264enc', 'rtph264pay')))"
)


class RtspServer:
    """One process that serves ``url``."""

    def __init__(self, *arguments: str, port: int | None = None) -> None:
        wanted = str(port or free_port())
        self._process = subprocess.Popen(
            [PYTHON, SCRIPT, "--port", wanted, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("ready"), said
        self.port = int(wanted)
        self.url = f"rtsp://127.0.0.1:{self.port}/live"

    def freeze(self) -> None:
        """It keeps its connections, and says nothing more."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def require_server() -> None:
    """Skips the test where the server cannot run; fails it where POSERT_REQUIRE_GST promises it."""
    if (lacks := _lacking()) is None:
        return
    if os.environ.get("POSERT_REQUIRE_GST") == "1":
        pytest.fail(f"POSERT_REQUIRE_GST=1, but: {lacks}")
    pytest.skip(lacks)


@contextmanager
def serving(*arguments: str, port: int | None = None) -> Iterator[RtspServer]:
    """A server that is killed at the end."""
    server = RtspServer(*arguments, port=port)
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stamp_age_s(image: Image, now_s: float | None = None) -> float:
    """Seconds since the server made the picture, whose stamp must be upright and full size."""
    row = image[BLOCK // 2, BLOCK // 2 : BLOCK * BITS : BLOCK, 1]
    made = int("".join("1" if bright else "0" for bright in row > 128), 2)
    now = int((time.monotonic() if now_s is None else now_s) * 1000)
    return (now - made) % (1 << BITS) / 1000


@cache
def _lacking() -> str | None:
    if not shutil.which(PYTHON):
        return f"no {PYTHON}"
    tried = subprocess.run([PYTHON, "-c", _NEEDS], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    why = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"no RTSP server: {why}; see scripts/debian-packages-gst.txt"
