"""Network streams, through FFmpeg's protocols in PyAV: RTSP, HTTP, UDP, RTMP and the like."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final
from urllib.parse import urlsplit

import av
from av.codec.context import Flags

from posert.errors import AccessDenied, InputError, StreamEnded, StreamStalled
from posert.runtime.sources.addresses import kind_of, without_password
from posert.runtime.sources.colours import bgr
from posert.runtime.sources.pace import Pace
from posert.runtime.sources.reader import first_picture_s
from posert.runtime.sources.source import Captured, Reading

log = logging.getLogger(__name__)

_MICROSECONDS: Final = 1_000_000
_NEARLY: Final = 0.95  # of a time-out: FFmpeg's clock is not ours
_DENIED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
_DENIED_FIX: Final = (
    "check user and password, as in rtsp://user:password@host/path; "
    "write @ : / ? # % in them as %40 %3A %2F %3F %23 %25"
)
_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}


class NetworkCapture:
    """One connection to a stream; damaged pictures are counted in ``skipped`` and left out.

    Raises:
        AccessDenied: the server asks for another user or password.
        InputError: it cannot be opened, or is no video.
    """

    def __init__(self, address: str, reading: Reading) -> None:
        self.skipped = 0
        self._name = without_password(address)
        self._use = threading.Lock()  # FFmpeg must not be closed while it reads
        self._limit_s = first_picture_s(reading)
        self._read_timeout_s = reading.read_timeout_s
        self._container = _open(address, self._name, reading)
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{self._name}: has no video stream")
        self._stream = self._container.streams.video[0]
        self.rate = _rate(self._stream)
        self.finite = kind_of(address) == "http" and bool(self._container.duration)
        self.frames = self._promised()
        self._pace = Pace() if self._container.format.name == "hls" and not self.finite else None
        if self.finite:
            self._stream.thread_type = "AUTO"
        else:  # frame threads would hold back a picture each
            self._stream.thread_type = "SLICE"
            self._stream.codec_context.flags |= Flags.low_delay
        self._packets: Iterator[Any] = self._container.demux(self._stream)
        self._ready: deque[Any] = deque()
        self._begun = False
        self._silent = False

    def read(self) -> Captured:
        with self._use:
            late_at = time.monotonic() + self._limit_s
            while not self._ready:
                self._decode(self._next_packet(late_at))
            self._limit_s = self._read_timeout_s
            decoded = self._ready.popleft()
            clock_s = None if decoded.pts is None else float(decoded.pts * decoded.time_base)
            if self._pace is not None and clock_s is not None:
                self._pace.wait(clock_s)
            return Captured(bgr(decoded), clock_s)

    def close(self) -> None:
        if self._pace is not None:
            self._pace.end()
        if self._use.acquire(blocking=False):  # else the thread that reads closes it afterwards
            try:
                self._container.close()
            finally:
                self._use.release()

    def _next_packet(self, late_at: float) -> Any:
        if self._silent:
            raise self._stalled()
        began = time.monotonic()
        try:
            packet = next(self._packets, None)
        except (av.error.TimeoutError, av.error.ExitError) as e:
            raise self._stalled() from e
        except av.error.FFmpegError as e:
            raise StreamEnded(f"{self._name}: broke off", got=e.strerror) from e
        if packet is None:
            raise StreamEnded(f"{self._name}: was closed by the other side")
        now = time.monotonic()
        # When time is out FFmpeg gives out a picture it still held, and no error before the next
        self._silent = now - began > _NEARLY * self._read_timeout_s
        if now > late_at and not self._silent:
            raise StreamStalled(
                f"{self._name}: sends data, but no sound picture within {self._limit_s:g} s",
                fix="where its key frames are further apart, raise the open time-out",
            )
        return packet

    def _stalled(self) -> StreamStalled:
        return StreamStalled(f"{self._name}: sends nothing for {self._read_timeout_s:g} s")

    def _decode(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as e:
            self.skipped += self._begun  # before the first key frame nothing can be decoded
            log.debug("%s: damaged packet: %s", self._name, e.strerror)
            return
        sound = [frame for frame in frames if not frame.is_corrupt]
        self._begun = self._begun or bool(sound)
        self.skipped += (len(frames) - len(sound)) * self._begun
        self._ready.extend(sound)

    def _promised(self) -> int | None:
        """How many frames a file's header tells of."""
        if not self.finite or self.rate is None:
            return None
        length_s = Fraction(self._container.duration, av.time_base)
        return self._stream.frames or round(length_s * self.rate)


def _rate(stream: Any) -> Fraction | None:
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 1 <= rate <= 480 else None


def _open(address: str, name: str, reading: Reading) -> Any:
    began = time.monotonic()
    options, timed = _options(address, reading)
    timeout = (reading.open_timeout_s, None if timed else reading.read_timeout_s)
    try:
        return av.open(address, timeout=timeout, options=options, metadata_errors="ignore")
    except _DENIED as e:
        raise AccessDenied(f"{name}: access denied", got=e.strerror, fix=_DENIED_FIX) from e
    except av.error.FFmpegError as e:
        waited_s = time.monotonic() - began
        if waited_s > _NEARLY * min(reading.open_timeout_s, reading.read_timeout_s):
            reason = f"no answer within {waited_s:.0f} s"
        else:
            reason = _unreachable(address) or str(e.strerror)
        raise InputError(
            f"{name}: cannot be opened", got=reason, fix="check the address, and that it is sending"
        ) from e


def _options(address: str, reading: Reading) -> tuple[dict[str, str], bool]:
    """FFmpeg's options for an address, and whether they hold the read time-out.

    That bounds each answer while connecting, too. FFmpeg's own time-outs are preferred to PyAV's,
    whose check takes Python's lock several times a packet. FFmpeg's ``nobuffer`` would throw away
    the first key frame, which it reads while it probes; as only the newest picture is kept, a
    buffer costs no time anyway.
    """
    micro = round(reading.read_timeout_s * _MICROSECONDS)
    kind = kind_of(address)
    if kind == "rtsp":
        options = {
            "rtsp_transport": reading.transport,
            "allowed_media_types": "video",
            "probesize": "32", "analyzeduration": "0",  # the description tells all that is needed
            "max_delay": str(round(reading.latency_s * _MICROSECONDS)),
            "buffer_size": str(4 << 20),  # of UDP: a large key frame comes at once
            "timeout": str(micro),
        }  # fmt: skip
        if not reading.latency_s:
            options["reorder_queue_size"] = "0"
        return options, True
    options = {"analyzeduration": str(_MICROSECONDS)}
    if kind == "http":
        return {**options, "rw_timeout": str(micro)}, True
    if kind == "udp":
        return {**options, "timeout": str(micro)}, True
    return options, False


def _unreachable(address: str) -> str | None:
    """Why the host cannot be reached; FFmpeg often says no more than ``Invalid data found``."""
    url = urlsplit(address)
    try:
        port = url.port or _PORTS.get(url.scheme)
        if url.hostname is None or port is None:
            return None
        socket.create_connection((url.hostname, port), timeout=1).close()
    except OSError as e:
        return e.strerror or str(e)
    except ValueError:  # no port number
        return "a port that is no number"
    return None
