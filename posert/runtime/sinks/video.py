"""Drawn frames into a video: H.264 yuv420p, true timestamps, in fragments that survive a kill."""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from posert.errors import OutputError
from posert.runtime.sinks.audio import AudioCopy
from posert.runtime.sinks.sink import unwritable
from posert.types import Image, SourceInfo

log = logging.getLogger(__name__)

CONTAINERS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv"})
_BT709: Final = 1  # the code of BT.709 in H.264's primaries, transfer and matrix fields
_OPTIONS: Final = {
    "libx264": {"preset": "veryfast", "crf": "23", "bf": "0"},
    "h264_nvenc": {"preset": "p4", "cq": "23", "bf": "0"},
}


class VideoWriter:
    """One output video of a source, of the source's size and rate, its sound copied along.

    H.264 in 4:2:0 has even sizes only: an odd width or height gains one pixel, with a log line.

    Raises:
        OutputError: it cannot be created or written, or no encoder works.
    """

    def __init__(self, path: Path, info: SourceInfo, encoder: str = "auto") -> None:
        self._path = path
        self._time_base = info.time_base
        self._first_pts: int | None = None
        self._last_pts = -1
        self._odd = (info.height % 2, info.width % 2)
        name = choose_encoder(encoder)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w", options=_muxer_options(path))
            self._stream = self._add_stream(name, info)
            self._audio = AudioCopy(info, self._container) if info.audio else None
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError) as e:
            raise unwritable(path, e) from e
        if any(self._odd):
            log.warning(
                "%s: %d x %d is odd, H.264 needs even sizes: the video is %d x %d",
                path, info.width, info.height, self._stream.width, self._stream.height,
            )  # fmt: skip

    def write(self, image: Image, pts: int) -> None:
        """Adds ``image`` (H, W, 3) uint8 BGR at ``pts`` in the source's time_base."""
        if self._first_pts is None:
            self._first_pts = pts
            if self._audio is not None:
                self._audio.start_at(pts * self._time_base)
        pts -= self._first_pts
        if pts <= self._last_pts:
            pts = self._last_pts + 1  # a broken clock; every frame is kept
        self._last_pts = pts
        frame = self._picture(image)
        frame.pts = pts
        frame.time_base = self._time_base
        try:
            if self._audio is not None:
                self._audio.copy_until(float(pts * self._time_base))
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as e:
            raise unwritable(self._path, e) from e

    def close(self) -> None:
        """Completes the file, also after an error: what came before stays playable.

        A file that no frame came for is removed.
        """
        try:
            self._container.mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.copy_rest()
        except (av.error.FFmpegError, OSError) as e:
            raise unwritable(self._path, e) from e
        finally:
            if self._audio is not None:
                self._audio.close()
            self._close_container()
            if self._first_pts is None:
                self._remove()

    def _remove(self) -> None:
        try:
            if self._path.is_file():  # a pipe or device stays
                self._path.unlink()
        except OSError as e:
            raise unwritable(self._path, e) from e

    def _close_container(self) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as e:
            raise unwritable(self._path, e) from e

    def _picture(self, image: Image) -> Any:
        if any(self._odd):
            bottom, right = self._odd
            edge = cv2.BORDER_REPLICATE
            image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, edge), np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        return frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )

    def _add_stream(self, encoder: str, info: SourceInfo) -> Any:
        stream: Any = self._container.add_stream(
            encoder, rate=_sane(info.rate), options=dict(_OPTIONS[encoder])
        )
        stream.width, stream.height = info.width + self._odd[1], info.height + self._odd[0]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = info.time_base
        stream.time_base = info.time_base
        context.sample_aspect_ratio = info.sample_aspect_ratio or Fraction(0)  # 0: unknown
        context.gop_size = max(1, round(info.rate))  # a key frame a second: a fragment each
        context.colorspace, context.color_range = _BT709, ColorRange.MPEG
        context.color_primaries = context.color_trc = _BT709
        return stream


@lru_cache
def choose_encoder(wanted: str = "auto") -> str:
    """``h264_nvenc`` where a GPU has one, else ``libx264``.

    Raises:
        OutputError: the wanted encoder is unknown or does not work here.
    """
    if wanted not in ("auto", *_OPTIONS):
        raise OutputError("encoder", got=wanted, expected=f"auto or one of {list(_OPTIONS)}")
    for name in reversed(_OPTIONS) if wanted == "auto" else (wanted,):
        if works(name):
            log.info("encoder: %s", name)
            return name
    raise OutputError(f"encoder {wanted} does not work here", fix="try: --encoder libx264")


def works(encoder: str) -> bool:
    """Whether this machine's FFmpeg has ``encoder`` and the hardware it needs."""
    try:
        context: Any = av.CodecContext.create(encoder, "w")
        context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.open()
    except (av.error.FFmpegError, ValueError, OSError) as e:
        log.debug("encoder %s: %s", encoder, e)
        return False
    return True


def check_ending(path: Path) -> None:
    """Refuses a path whose ending is of no container that is written.

    Raises:
        OutputError: so it is.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise OutputError(f"{path}", got=path.suffix or "no ending", expected=sorted(CONTAINERS))


def _muxer_options(path: Path) -> dict[str, str]:
    check_ending(path)
    if path.suffix.lower() == ".mkv":
        return {"flush_packets": "1"}
    return {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}


def _sane(rate: Fraction) -> Fraction:
    return rate if 0 < rate <= 1000 else Fraction(30)
