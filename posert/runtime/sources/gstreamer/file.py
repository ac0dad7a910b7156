"""Video files through GStreamer: every frame, at the time its container gives it."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from posert.errors import InputError
from posert.runtime.elements import available
from posert.runtime.pipelines.decoding import Pixels
from posert.runtime.pipelines.reading import file as file_pipeline
from posert.runtime.sources.colours import bgr
from posert.runtime.sources.gstreamer.player import Player
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Frame, Image

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 60.0  # a disk that sleeps may take seconds, a pipeline that hangs for ever
_REORDERED: Final = 32  # frames; H.264 and HEVC show a frame at most 16 after its turn
_UNPADDED: Final = 8  # rows of such widths have no padding, which OpenCV 4.6 would not skip
_ALMOST: Final = 1e-3  # of a tick: 0.2 s as a float is a little more than 0.2 s


class GstFile(VideoFile):
    """One video file, decoded by GStreamer; what FFmpeg reads of its container is used as it is.

    OpenCV tells no frame's time, but its n-th frame is the n-th that the container shows.

    Raises:
        InputError: it is missing, empty, no video, or holds no frame.
        ConfigError: GStreamer lacks what it takes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        codec = self._stream.codec_context.codec.canonical_name
        container, size = self._container.format.name, self._size()
        pixels: Pixels = "BGR" if size[0] % _UNPADDED or size[1] % 2 else "I420"
        self._pipeline = file_pipeline(path, container, codec, available(), pixels=pixels)
        self._player: Player | None = None

    def frames(self, span: Span) -> Iterator[Frame]:
        info, taken = self.info, 0
        first_pts = math.ceil(span.start_s / info.time_base - _ALMOST)
        first = -1  # the index of the first frame wanted
        player = self._player = Player(self._pipeline, info.name, _TIMEOUT_S)
        for index, pts in enumerate(self._times()):
            if not player.grab(_TIMEOUT_S):
                break
            self._frame_count, self._last_pts = index + 1, pts + info.start_pts
            if pts < first_pts:
                continue
            first = index if first < 0 else first
            if (index - first) % span.every:
                continue
            if (image := player.picture()) is not None:
                taken += 1
                yield Frame(self._shown(image), index, pts, float(pts * info.time_base))
            if taken == span.max_frames:
                return
        self._tell_end(player, nothing=first < 0, start_s=span.start_s)

    def close(self) -> None:
        if self._player is not None:
            self._player.close()
        super().close()

    def _times(self) -> Iterator[int]:
        """When each frame is shown, from the first, in the file's time_base; without decoding."""
        info, waiting, count = self.info, list[int](), 0
        step = 1 / (info.rate * info.time_base)
        self._frame_count, self._last_pts = 0, info.start_pts
        for packet in self._packets():
            if not packet.size or packet.is_discard:
                continue
            pts = round(count * step) if packet.pts is None else packet.pts - info.start_pts
            count += 1
            heapq.heappush(waiting, pts)
            if len(waiting) > _REORDERED:
                yield heapq.heappop(waiting)
        yield from sorted(waiting)

    def _size(self) -> tuple[int, int]:
        """Width and height before the picture is turned."""
        size = (self.info.width, self.info.height)
        return size if self._turn % 180 == 0 else size[::-1]

    def _shown(self, image: Image) -> Image:
        """In BGR, upright, and of the size of the first frame."""
        if image.ndim == 2:
            image = self._coloured(image)
        if self._turn:
            image = np.ascontiguousarray(np.rot90(image, self._turn // 90))  # counter-clockwise
        if image.shape[:2] != (self.info.height, self.info.width):
            size = (self.info.width, self.info.height)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return image

    def _coloured(self, planes: Image) -> Image:
        """I420 as OpenCV gives it, (H * 3 / 2, W), in the colours that the file means.

        FFmpeg's converter takes half the time of GStreamer's; OpenCV's knows BT.601 alone.
        """
        frame: Any = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        context = self._stream.codec_context
        frame.colorspace, frame.color_range = context.colorspace, context.color_range
        return bgr(frame)

    def _tell_end(self, player: Player, *, nothing: bool, start_s: float) -> None:
        reason = f" ({player.reason})" if player.reason else ""
        if player.expired:
            raise InputError(f"{self._path}: GStreamer gave no picture for {_TIMEOUT_S:g} s")
        if self._frame_count == 0:
            raise InputError(
                f"{self._path}: GStreamer decodes no frame{reason}", fix="try --io ffmpeg"
            )
        if reason:
            log.warning("%s: GStreamer stopped%s", self._path, reason)
        self._check_end(0)
        if nothing and start_s > 0:
            raise InputError(f"{self._path}: has no frame at or after {start_s:g} s")
