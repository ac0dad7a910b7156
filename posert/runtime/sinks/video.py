"""Drawn frames into a video: H.264 yuv420p, true timestamps, in fragments that survive a kill.

A frame given to ``write`` waits for nothing but the next one and the end of its fragment, a
quarter of a second: the encoder holds none back (no look-ahead, no frame threads).
"""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from posert.errors import OutputError, first_line
from posert.runtime.sinks.audio import AudioCopy, open_sound
from posert.runtime.sinks.disk import DiskSync
from posert.runtime.sinks.fit import even, letterbox
from posert.runtime.sinks.fragments import drop_torn
from posert.runtime.sinks.sink import unwritable
from posert.types import Image, SourceInfo

log = logging.getLogger(__name__)

CONTAINERS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv"})
_BT709: Final = 1  # the code of BT.709 in H.264's primaries, transfer and matrix fields
_KEY_FRAME_S: Final = 2  # a fragment need not begin with one
_FRAGMENT_S: Final = 0.25
# docs/writing.md has what it costs to hold no frame back
ENCODERS: Final = {
    "libx264": {"preset": "veryfast", "crf": "24", "tune": "zerolatency"},
    "h264_nvenc": {"preset": "p4", "cq": "23", "bf": "0", "delay": "0"},
}


class VideoWriter:
    """One output video of a source, of the source's size and rate, its sound copied along.

    H.264 in 4:2:0 has even sizes only: an odd width or height gains one pixel, with a log line.
    Frames of another size are scaled into it.

    Raises:
        OutputError: it cannot be created or written, or no encoder works.
    """

    def __init__(self, path: Path, info: SourceInfo, encoder: str = "auto") -> None:
        self._path = path
        self._time_base = info.time_base
        self._first_pts: int | None = None
        self._last_pts = -1
        self._size = self._seen_size = (info.width, info.height)
        self._encoder = choose_encoder(encoder)
        self._failed = False  # told already
        self._audio: AudioCopy | None = None
        self._disk: DiskSync | None = None
        options = _muxer_options(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = DiskSync(path)
            self._container = av.open(f"file:{path}", "w", options=options)
        except (av.error.FFmpegError, OSError) as e:
            if self._disk is not None:
                self._disk.close()
            raise unwritable(path, e) from e
        try:
            self._begin(info)
        except (av.error.FFmpegError, OSError) as e:
            self._failed = True
            self.close()
            raise unwritable(path, e) from e

    def write(self, image: Image, pts: int) -> None:
        """Adds ``image`` (H, W, 3) uint8 BGR at ``pts`` in the source's time_base.

        Raises:
            OutputError: it cannot be written, or the encoder failed; what came before plays.
        """
        if self._first_pts is None:
            self._first_pts = pts
            if self._audio is not None:
                self._audio.start_at(pts * self._time_base)
        # a broken clock does not lose a frame
        pts = self._last_pts = max(pts - self._first_pts, self._last_pts + 1)
        frame = self._picture(image)
        frame.pts = pts
        frame.time_base = self._time_base
        try:
            if self._disk is not None:
                self._disk.check()
            if self._audio is not None:
                self._audio.copy_until(float(pts * self._time_base))
            self._mux(self._encode(frame))
        except (av.error.FFmpegError, OSError) as e:
            raise self._told(e) from e

    def close(self, end_pts: int | None = None) -> None:
        """Completes the file, also after an error: what came before stays playable.

        The sound ends with the last frame, or at ``end_pts`` where another file goes on. A file
        that no frame came for is removed. After an error that was told, another is only logged.
        """
        try:
            if not self._failed:
                self._complete(end_pts)
        finally:
            if self._audio is not None:
                self._audio.close()
            self._close_container()
            if self._first_pts is None:
                self._remove()

    def _begin(self, info: SourceInfo) -> None:
        self._stream = self._add_stream(info)
        self._audio = open_sound(info, self._container)
        self._container.start_encoding()
        if (info.width | info.height) % 2:
            log.warning(
                "%s: %d x %d is odd, H.264 needs even sizes: the video is %d x %d",
                self._path, info.width, info.height, self._stream.width, self._stream.height,
            )  # fmt: skip

    def _complete(self, end_pts: int | None) -> None:
        try:
            self._mux(self._encode(None))
            if self._audio is not None and self._first_pts is not None:
                end = None if end_pts is None else (end_pts - self._first_pts) * self._time_base
                self._audio.copy_rest(end)
        except (av.error.FFmpegError, OSError) as e:
            raise self._told(e) from e

    def _close_container(self) -> None:
        told, error = self._failed, None
        for close in (self._container.close, self._close_file):
            try:
                close()
            except (av.error.FFmpegError, OSError) as e:
                log.debug("%s: %s", self._path, first_line(e))
                error = error or self._told(e)
        if error is not None and not told:
            raise error

    def _close_file(self) -> None:
        if self._disk is None:
            return
        try:
            if self._failed and self._disk.fd is not None and self._path.suffix.lower() != ".mkv":
                drop_torn(self._disk.fd)
        finally:
            self._disk.close()

    def _remove(self) -> None:
        try:
            if self._path.is_file():  # a pipe or device stays
                self._path.unlink()
        except OSError as e:
            raise unwritable(self._path, e) from e

    def _told(self, error: Exception) -> OutputError:
        self._failed = True
        return unwritable(self._path, error)

    def _encode(self, frame: Any) -> Any:
        try:
            return self._stream.encode(frame)
        except av.error.FFmpegError as e:
            self._failed = True
            raise OutputError(
                f"{self._path}: the encoder {self._encoder} failed, what came before is kept",
                got=first_line(e),
                fix="try: --encoder libx264" if self._encoder != "libx264" else None,
            ) from e

    def _mux(self, packets: Any) -> None:
        try:
            self._container.mux(packets)
        except ValueError as e:  # FFmpeg refuses a packet itself: a picture's are in order
            if self._audio is None or self._audio.ended:
                raise
            self._audio.give_up(e)

    def _picture(self, image: Image) -> Any:
        size = image.shape[1], image.shape[0]
        if size != self._seen_size:
            log.warning(
                "%s: frames are %d x %d from here on, scaled into its %d x %d",
                self._path, *size, *self._size,
            )  # fmt: skip
            self._seen_size = size
        image = np.ascontiguousarray(even(letterbox(image, *self._size)))
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        return frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )

    def _add_stream(self, info: SourceInfo) -> Any:
        rate = _sane(info.rate)
        stream: Any = self._container.add_stream(
            self._encoder, rate=rate, options=dict(ENCODERS[self._encoder])
        )
        stream.width, stream.height = info.width + info.width % 2, info.height + info.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = info.time_base
        stream.time_base = info.time_base
        context.sample_aspect_ratio = info.sample_aspect_ratio or Fraction(0)  # 0: unknown
        context.gop_size = max(1, round(_KEY_FRAME_S * rate))
        context.colorspace, context.color_range = _BT709, ColorRange.MPEG
        context.color_primaries = context.color_trc = _BT709
        return stream


@lru_cache
def choose_encoder(wanted: str = "auto") -> str:
    """``h264_nvenc`` where a GPU has one, else ``libx264``.

    Raises:
        OutputError: the wanted encoder is unknown or does not work here.
    """
    if wanted not in ("auto", *ENCODERS):
        raise OutputError("encoder", got=wanted, expected=f"auto or one of {list(ENCODERS)}")
    for name in reversed(ENCODERS) if wanted == "auto" else (wanted,):
        if works(name):
            log.info("encoder: %s", name)
            return name
    raise OutputError(f"encoder {wanted} does not work here", fix="try: --encoder libx264")


@lru_cache
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
    span_us = round(_FRAGMENT_S * 1e6)
    # pictures do not wait for sound that is not there
    options = {"flush_packets": "1", "max_interleave_delta": str(span_us)}
    if path.suffix.lower() == ".mkv":
        return options | {"cluster_time_limit": str(round(_FRAGMENT_S * 1e3))}
    flags = "empty_moov+default_base_moof"
    return options | {"movflags": flags, "frag_duration": str(span_us)}


def _sane(rate: Fraction) -> Fraction:
    return rate if 0 < rate <= 1000 else Fraction(30)
