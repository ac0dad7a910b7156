"""Video files, decoded by FFmpeg through PyAV: exact timestamps, rotation, damage counted."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from posert.errors import InputError
from posert.runtime.sources.colours import bgr
from posert.runtime.sources.readable import check_readable
from posert.runtime.sources.source import Health, Span
from posert.types import DevicePicture, Frame, Image, SourceInfo

log = logging.getLogger(__name__)

# degrees counter-clockwise that the display matrix asks for -> OpenCV's quarter turns
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
# Formats with an index of their key frames; others are read from their beginning, as FFmpeg lands
# somewhere behind the target in them (MPEG-TS) or nowhere.
_SEEKABLE = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_SLACK = Fraction(1, 1000)  # of a frame or tick: 0.2 s as a float is a little more than 0.2 s
_EARLY = 0.05  # share of the promised frames that may lack at the end before it is called early


class VideoFile:
    """One video file.

    Raises:
        InputError: it is missing, empty, no video, or holds no frame.
    """

    def __init__(self, path: Path) -> None:
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = None
        self._path = path
        self._connect()
        first = self._first_frame()
        self._rewind()
        self._turn = round(first.rotation) % 360
        turned = self._turn in (90, 270)
        width, height = first.width, first.height
        pixel = self._stream.sample_aspect_ratio or None
        has_audio = bool(self._container.streams.audio)
        self.info = SourceInfo(
            name=str(path),
            width=height if turned else width,
            height=width if turned else height,
            rate=_rate(self._stream, timed=first.pts is not None),
            time_base=Fraction(self._stream.time_base),
            frames=self._stream.frames or None,
            audio=path if has_audio else None,
            start_pts=first.pts or 0,
            sample_aspect_ratio=1 / pixel if pixel and turned else pixel,
        )

    def frames(self, span: Span) -> Iterator[Frame]:
        info, wanted, taken = self.info, span.max_frames, 0
        index = self._seek(span.start_s)
        offset = -1
        for offset, (file_pts, decoded) in enumerate(self._decoded(span.start_s)):
            if offset % span.every:
                continue
            if wanted is not None and taken >= wanted:
                return
            taken += 1
            pts = file_pts - info.start_pts
            picture = self._picture(decoded)
            yield Frame(picture, index + offset, pts, float(pts * info.time_base))
        self._check_end(index)
        if span.start_s > 0 and offset < 0:
            raise InputError(
                f"{self._path}: has no frame at or after {span.start_s:g} s", got=self._length()
            )

    def close(self) -> None:
        self._container.close()

    def _connect(self) -> None:
        self._container = _open(self._path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def _rewind(self) -> None:
        self.skipped = 0
        try:
            self._container.seek(0)
        except av.error.FFmpegError:  # raw streams, as .h264, cannot be sought in
            self._container.close()
            self._connect()

    def _first_frame(self) -> Any:
        """The first decodable frame; the file is to be rewound afterwards."""
        for packet in self._packets():
            for frame in self._decode(packet):
                return frame
        raise InputError(
            f"{self._path}: no frame can be decoded", fix="check that it plays in a video player"
        )

    def _seek(self, start_s: float) -> int:
        """Goes to a key frame at or before ``start_s``; returns the index of the frame there."""
        self._packet_count = self._frame_count = 0
        self._last_pts = self.info.start_pts
        self._known = (self.info.start_pts, 0)
        if start_s > 0 and self._container.format.name in _SEEKABLE:
            self._container.seek(self._pts_at(start_s), stream=self._stream)
        return math.ceil(Fraction(start_s) * self.info.rate - _SLACK)

    def _pts_at(self, time_s: float) -> int:
        """The first pts, in the file's clock, that is not before ``time_s``."""
        return self.info.start_pts + math.ceil(Fraction(time_s) / self.info.time_base - _SLACK)

    def _decoded(self, start_s: float) -> Iterator[tuple[int, Any]]:
        """Sound frames from ``start_s`` on, and their pts; damaged ones are counted, left out."""
        first_pts = self._pts_at(start_s)
        for packet in self._packets():
            self._packet_count += bool(packet.size)
            for frame in self._decode(packet):
                self._last_pts = self._pts_of(frame)
                self._frame_count += 1
                if self._last_pts >= first_pts:
                    yield self._last_pts, frame
        self.skipped = max(self.skipped, self._packet_count - self._frame_count)

    def _pts_of(self, frame: Any) -> int:
        """Its pts; raw streams have none: they are counted on from the last frame that has one."""
        if frame.pts is not None:
            self._known = (frame.pts, self._frame_count)
        pts, number = self._known
        ticks = (self._frame_count - number) / (self.info.rate * self.info.time_base)
        return int(pts + round(ticks))

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

    def _picture(self, decoded: Any) -> Image | DevicePicture:
        image = bgr(decoded)
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
        if lacking > max(2, _EARLY * promised) and not self._is_whole_avi():
            raise InputError(
                f"{self._path}: ends early",
                got=f"{round(last) + 1} frames",
                expected=f"{promised}",
                fix="what came is processed; copy the file again for the rest",
            )
        if first_index == 0:
            self.skipped = max(self.skipped, promised - self._frame_count)

    def _length(self) -> str | None:
        duration = self._container.duration
        return None if duration is None else f"a length of {duration / av.time_base:g} s"

    def _is_whole_avi(self) -> bool:
        """AVI has no timestamps: after damage they lag, but its header tells the file's length."""
        if self._container.format.name != "avi":
            return False
        with self._path.open("rb") as file:
            length = int.from_bytes(file.read(8)[4:], "little")
        return length + 8 <= self._path.stat().st_size


def _open(path: Path) -> Any:
    check_readable(path)
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


def _rate(stream: Any, timed: bool) -> Fraction:
    """Frames a second; where frames have no time, FFmpeg's average is 25, whatever the file is."""
    average = stream.average_rate if timed else None
    rate = average or stream.guessed_rate or stream.average_rate or stream.base_rate
    return Fraction(rate) if rate else Fraction(25)
