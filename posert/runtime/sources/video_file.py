"""Video files, decoded by FFmpeg through PyAV: exact timestamps, rotation, damage counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from posert.errors import InputError
from posert.runtime.sources.source import Span
from posert.types import Frame, Image, SourceInfo

log = logging.getLogger(__name__)

# degrees counter-clockwise that the display matrix asks for -> OpenCV's quarter turns
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
_STEPS_BACK_S = (0.0, 2.0, 12.0)  # tried in turn to find a key frame before a start
_EARLY = 0.05  # share of the promised frames that may lack at the end before it is called early


class VideoFile:
    """One video file.

    Raises:
        InputError: it is missing, empty, no video, or holds no frame.
    """

    def __init__(self, path: Path) -> None:
        self.skipped = 0
        self.dropped = 0
        self._path = path
        self._container = _open(path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        first = self._first_frame()
        self._turn = round(first.rotation) % 360
        turned = self._turn in (90, 270)
        width, height = first.width, first.height
        has_audio = bool(self._container.streams.audio)
        self.info = SourceInfo(
            name=str(path),
            width=height if turned else width,
            height=width if turned else height,
            rate=_rate(self._stream),
            time_base=Fraction(self._stream.time_base),
            frames=self._stream.frames or None,
            audio=path if has_audio else None,
            start_pts=first.pts or 0,
        )

    def frames(self, span: Span) -> Iterator[Frame]:
        info, wanted, taken = self.info, span.max_frames, 0
        index = self._seek(span.start_s)
        for offset, decoded in enumerate(self._decoded(span.start_s)):
            if offset % span.every:
                continue
            if wanted is not None and taken >= wanted:
                return
            taken += 1
            pts = (decoded.pts or 0) - info.start_pts
            image = self._upright(decoded)
            yield Frame(image, index + offset, pts, float(pts * info.time_base))
        self._check_end(index)

    def close(self) -> None:
        self._container.close()

    def _first_frame(self) -> Any:
        """The first decodable frame; the file is rewound afterwards."""
        for packet in self._packets():
            for frame in self._decode(packet):
                self._container.seek(0)
                self.skipped = 0
                return frame
        raise InputError(
            f"{self._path}: no frame can be decoded", fix="check that it plays in a video player"
        )

    def _seek(self, start_s: float) -> int:
        """Goes to a key frame at or before ``start_s``; returns the index of the frame there."""
        self._packet_count = self._frame_count = 0
        self._last_pts = self.info.start_pts
        if start_s > 0 and not any(self._lands_before(start_s, back) for back in _STEPS_BACK_S):
            self._container.seek(0)
        return round(start_s * self.info.rate)

    def _lands_before(self, start_s: float, back_s: float) -> bool:
        """Seeks ``back_s`` before ``start_s``; MPEG-TS lands on the key frame behind its target."""
        wanted = self.info.start_pts + int(start_s / self.info.time_base)
        target = wanted - int(back_s / self.info.time_base)
        self._container.seek(target, stream=self._stream)
        landed = next((p.pts for p in self._packets() if p.pts is not None), None)
        self._container.seek(target, stream=self._stream)
        return landed is not None and landed <= wanted

    def _decoded(self, start_s: float) -> Iterator[Any]:
        """Sound frames from ``start_s`` on; damaged ones are counted and left out."""
        first_pts = self.info.start_pts + int(start_s / self.info.time_base)
        for packet in self._packets():
            self._packet_count += bool(packet.size)
            for frame in self._decode(packet):
                self._frame_count += 1
                self._last_pts = frame.pts if frame.pts is not None else self._last_pts
                if self._last_pts >= first_pts:
                    yield frame
        self.skipped = max(self.skipped, self._packet_count - self._frame_count)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as e:
            log.warning("%s: reading stopped: %s", self._path, e.strerror)

    def _decode(self, packet: Any) -> list[Any]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as e:
            self.skipped += 1
            log.debug("%s: damaged packet: %s", self._path, e.strerror)
            return []
        sound = [frame for frame in frames if not frame.is_corrupt]
        self.skipped += len(frames) - len(sound)
        return sound

    def _upright(self, decoded: Any) -> Image:
        image: Image = decoded.to_ndarray(format="bgr24")
        if self._turn in _TURNS:
            image = np.asarray(cv2.rotate(image, _TURNS[self._turn]), np.uint8)
        if image.shape[:2] != (self.info.height, self.info.width):
            size = (self.info.width, self.info.height)  # the stream changed its resolution
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return image

    def _check_end(self, first_index: int) -> None:
        """Tells a file that breaks off from one that is damaged within."""
        promised = self.info.frames
        if promised is None:
            return
        last = (self._last_pts - self.info.start_pts) * self.info.time_base * self.info.rate
        lacking = promised - (round(last) + 1)
        if lacking > max(2, _EARLY * promised):
            raise InputError(
                f"{self._path}: ends early",
                got=f"{round(last) + 1} frames",
                expected=f"{promised}",
                fix="what came is processed; copy the file again for the rest",
            )
        if first_index == 0:
            self.skipped = max(self.skipped, promised - self._frame_count)


def _open(path: Path) -> Any:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes)")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.error.FFmpegError as e:
        raise InputError(
            f"{path}: is not a video or picture that FFmpeg can read ({e.strerror})",
            fix="a file cut off while it was written may lack its index; make it anew",
        ) from e
    except OSError as e:
        raise InputError(f"{path}: cannot be read", got=e.strerror) from e
    if not container.streams.video:
        kinds = ", ".join(sorted({s.type for s in container.streams}))
        container.close()
        raise InputError(f"{path}: has no video stream", got=kinds or "no stream at all")
    return container


def _rate(stream: Any) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Fraction(rate) if rate else Fraction(25)
