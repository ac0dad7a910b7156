"""Drawn frames through OpenCV's GStreamer writer: hardware encoders, RTSP and UDP addresses."""

from __future__ import annotations

import logging
import math
import socket
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import cv2
import numpy as np

from posert.errors import OutputError
from posert.runtime.elements import (
    Deadline,
    Supervision,
    available,
    silence_opencv,
    supervised,
    why_not_parsed,
)
from posert.runtime.pipelines.passwords import without_password, without_passwords
from posert.runtime.pipelines.writing import writing
from posert.runtime.sinks.disk import DiskSync
from posert.runtime.sinks.fit import even, letterbox
from posert.runtime.sinks.sink import unwritable
from posert.runtime.video_io import choose_gst_encoder
from posert.types import Image, SourceInfo

log = logging.getLogger(__name__)

_OPEN_S: Final = 10.0  # an encoder or server may take to start
_WRITE_S: Final = 10.0  # a receiver that takes nothing for so long is gone
_CLOSE_S: Final = 10.0  # for what is under way to be written
_PAUSE_S: Final = 2  # the longest time that a frame is repeated for
_SANE_RATE: Final = 1000


class GstWriter:
    """One output video, at ``info``'s size and a constant rate: .mp4, .mkv, rtsp:// or udp://.

    OpenCV's writer knows no timestamps: frames are repeated or left out to keep to real time, and
    counted in ``repeated`` and ``left_out``; a gap is shortened to two seconds. Frames of another
    size are scaled into it.

    Raises:
        OutputError: the target cannot be written or reached.
        ConfigError: the encoder is unknown or not here.
    """

    def __init__(self, target: str, info: SourceInfo, encoder: str = "auto") -> None:
        self.repeated = 0
        self.left_out = 0
        self._target = without_password(target)
        self._time_base = info.time_base
        self._rate = info.rate if 0 < info.rate <= _SANE_RATE else Fraction(30)
        self._size = (info.width, info.height)
        self._path = None if "://" in target else Path(target)
        self._first_pts: int | None = None
        self._written = 0  # frames, those repeated among them
        self._cut = 0  # frames of time without a picture that are not in the video
        self._last: Image | None = None
        self._failed = False
        self._disk: DiskSync | None = None
        self._open(target, choose_gst_encoder(encoder, target))
        if info.audio is not None:
            log.warning("%s: has no sound: GStreamer's writer carries pictures only", self._target)

    def write(self, image: Image, pts: int) -> None:
        """Adds ``image`` (H, W, 3) uint8 BGR at ``pts`` in the source's time_base.

        Raises:
            OutputError: the encoder, the disk or the receiver failed; what came before is kept.
        """
        if self._first_pts is None:
            self._first_pts = pts
        place = self._place(pts - self._first_pts)
        if place < self._written:
            self.left_out += 1
            return
        while self._last is not None and self._written < place:
            self._push(self._last)
            self.repeated += 1
        self._last = np.ascontiguousarray(even(letterbox(image, *self._size)))
        self._written = place
        self._push(self._last)

    def close(self, end_pts: int | None = None) -> None:
        """Completes the video; a file that no frame came for is removed."""
        with self._deadline.within(_CLOSE_S):
            self._writer.release()
        expired = self._deadline.expired
        self._end()
        refusal = self._disk_refusal(self._close_disk)
        if self.repeated or self.left_out:
            log.info(
                "%s: has a constant rate of %s: %d frames repeated, %d left out",
                self._target, self._rate, self.repeated, self.left_out,
            )  # fmt: skip
        if self._first_pts is None and self._path is not None and self._path.is_file():
            self._path.unlink()
        if self._failed:
            return
        if expired or self._supervision.errors:
            raise self._broken()
        if refusal is not None:
            raise refusal

    def _place(self, ticks: int) -> int:
        """Which frame it is; what a source was away is shown as a short pause."""
        place = round(ticks * self._time_base * self._rate) - self._cut
        missing = place - self._written - math.ceil(_PAUSE_S * self._rate)
        if missing <= 0:
            return place
        self._cut += missing
        log.info("%s: %.1f s without a frame are cut out", self._target, missing / self._rate)
        return place - missing

    def _open(self, target: str, encoder: str) -> None:
        width, height = (n + n % 2 for n in self._size)  # 4:2:0 has even sizes only
        pipeline = writing(target, encoder, available(), (width, height), self._rate)
        if why := why_not_parsed(pipeline.text):
            why = without_passwords(why)
            raise OutputError(f"{self._target}: GStreamer refuses the pipeline ({why})")
        self._make_place(target)
        silence_opencv()
        log.info("%s: encoder %s", self._target, encoder)
        log.debug("%s: %s", self._target, pipeline.safe)
        with supervised() as self._supervision:
            self._deadline = Deadline(self._supervision, self._target)
            with self._deadline.within(_OPEN_S):
                self._writer: Any = cv2.VideoWriter(
                    pipeline.text, cv2.CAP_GSTREAMER, 0, float(self._rate), (width, height), True
                )
        # also when it is forgotten: see sources.gstreamer.player
        self._end = weakref.finalize(
            self, _release, self._writer, self._supervision, self._deadline
        )
        if not self._writer.isOpened() or self._deadline.expired:
            self._end()
            self._disk_refusal(self._close_disk)
            raise self._broken()

    def _make_place(self, target: str) -> None:
        """Says of a file or host what the system says, before GStreamer says less or nothing."""
        if self._path is None:
            self._find_host(target)
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = DiskSync(self._path)
            with self._path.open("wb"):
                pass
        except OSError as e:
            self._close_disk()
            raise unwritable(self._path, e) from e

    def _find_host(self, target: str) -> None:
        host = urlsplit(target).hostname
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as e:
            raise OutputError(f"{self._target}: no such host", got=str(e)) from e

    def _close_disk(self) -> None:
        """Raises OSError where the disk did not take it all."""
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.close()

    def _disk_refusal(self, ask: Callable[[], None]) -> OutputError | None:
        try:
            ask()
        except OSError as e:
            return unwritable(Path(self._target), e)
        return None

    def _push(self, image: Image) -> None:
        if self._disk is not None and (refusal := self._disk_refusal(self._disk.check)):
            self._failed = True
            raise refusal
        if not self._failed and not self._supervision.errors:
            with self._deadline.within(_WRITE_S):
                self._writer.write(image)
            self._written += 1
        if self._supervision.errors or self._deadline.expired:
            raise self._broken()

    def _broken(self) -> OutputError:
        self._failed = True
        got = next(iter(self._supervision.errors), None)
        if got is None:
            got = f"nothing taken for {_WRITE_S:g} s" if self._deadline.expired else "no reason"
        return OutputError(
            f"{self._target}: cannot be written on by GStreamer; what came before is kept",
            got=without_passwords(got),
        )


def _release(writer: Any, supervision: Supervision, deadline: Deadline) -> None:
    with deadline.within(_CLOSE_S):
        writer.release()
    supervision.release()
    deadline.close()
