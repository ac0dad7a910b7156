"""Live sources through GStreamer: RTSP, HTTP, V4L2 and CSI cameras, pipelines of the user's."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Final

from posert.errors import AccessDenied, ConfigError, InputError, StreamEnded, StreamStalled
from posert.runtime.elements import available, prefer
from posert.runtime.pipelines import reading as pipelines
from posert.runtime.pipelines.decoding import all_decoders
from posert.runtime.pipelines.text import PipelineText
from posert.runtime.sources.addresses import kind_of, without_password
from posert.runtime.sources.gstreamer.player import Player
from posert.runtime.sources.source import Captured, Reading
from posert.types import Image

log = logging.getLogger(__name__)

_DENIED: Final = re.compile(r"(?i)unauthori[sz]ed|not authori[sz]ed|forbidden|\b40[13]\b")
_CUSTOM: Final = "gst://"
_SANE_RATE: Final = 1000


class GstCapture:
    """One connection to a live source; see ``Capture``.

    Raises:
        InputError: it cannot be opened, or sends no picture in time.
        AccessDenied: it wants another user or password.
        ConfigError: GStreamer lacks what it takes.
    """

    def __init__(self, address: str, reading: Reading) -> None:
        self.rate: Fraction | None = None
        self.skipped = 0  # GStreamer shows damaged pictures as its decoder mends them
        self._name = without_password(address)
        self._timeout_s = reading.read_timeout_s
        _prefer_hardware()
        self._first: Image | None = None
        self._player = self._open(address, reading)
        rate = self._player.rate
        if 0 < rate < _SANE_RATE:
            self.rate = Fraction(rate).limit_denominator(1001)

    def read(self) -> Captured:
        first, self._first = self._first, None
        if first is not None:
            return Captured(first, None)
        image = self._player.picture() if self._player.grab(self._timeout_s) else None
        if image is None:
            raise self._broken()
        return Captured(image, None)

    def close(self) -> None:
        self._player.close()

    def _open(self, address: str, reading: Reading) -> Player:
        """The first way to read ``address`` that brings a picture."""
        trouble: InputError | ConfigError | None = None
        for pipeline in ways(address, reading):
            try:
                player = Player(pipeline, self._name, reading.open_timeout_s)
            except ConfigError as e:
                trouble = trouble or e
                continue
            if player.opened and player.grab(reading.open_timeout_s):
                self._first = player.picture()
            if self._first is not None:
                return player
            player.close()
            trouble = _unopened(self._name, player, reading.open_timeout_s)
        raise trouble or InputError(f"{self._name}: GStreamer knows no way to read it")

    def _broken(self) -> InputError:
        player = self._player
        if player.expired:
            return StreamStalled(f"{self._name}: sent nothing for {self._timeout_s:g} s")
        if player.reason:
            return StreamEnded(f"{self._name}: broke off", got=player.reason)
        return StreamEnded(f"{self._name}: was closed by the other side")


def ways(address: str, reading: Reading) -> Iterator[PipelineText]:
    """The pipelines that may read ``address``, the best first."""
    elements, kind = available(), kind_of(address)
    if address.startswith(_CUSTOM):
        yield pipelines.custom(address.removeprefix(_CUSTOM))
    elif kind == "rtsp":
        yield pipelines.rtsp(
            address,
            elements,
            transport=reading.transport,
            latency_s=reading.latency_s,
            open_timeout_s=reading.open_timeout_s,
        )
    elif kind == "http":
        yield pipelines.http(address, open_timeout_s=reading.open_timeout_s)
    elif kind == "csi":
        yield pipelines.csi(pipelines.Camera.parse(address), elements)
    elif kind == "v4l2" or address.startswith("v4l2://"):
        camera = pipelines.Camera.parse(address)
        yield pipelines.v4l2(camera, "mjpeg", elements)  # cameras send it faster than raw pictures
        yield pipelines.v4l2(camera, "raw", elements)


def _unopened(name: str, player: Player, timeout_s: float) -> InputError:
    if _DENIED.search(player.reason):
        return AccessDenied(f"{name}: access denied", got=player.reason, fix="check user, password")
    if player.reason:
        return InputError(f"{name}: cannot be opened", got=player.reason)
    if player.expired:
        return StreamStalled(f"{name}: sent no picture within {timeout_s:g} s")
    return InputError(f"{name}: cannot be opened", fix="check that it is a camera or video stream")


@lru_cache
def _prefer_hardware() -> None:
    """Where GStreamer chooses the decoder itself, it is to choose as we do."""
    prefer(all_decoders())
