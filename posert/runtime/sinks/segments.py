"""One source into one video, or into several one after the other without losing a frame."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from posert.errors import PosertError
from posert.runtime.sinks.sink import unwritable
from posert.types import Frame, Image, SourceInfo

log = logging.getLogger(__name__)


class Video(Protocol):
    """One video file, as ``VideoWriter`` is one."""

    def write(self, image: Image, pts: int) -> None: ...

    def close(self, end_pts: int | None = None) -> None: ...


OpenVideo = Callable[[Path, SourceInfo], Video]


class OneFile:
    """All frames of a source in one video."""

    def __init__(self, path: Path, video: Video) -> None:
        self.paths: list[Path] = []  # one that no frame came for is removed
        self._path = path
        self._video = video

    def write(self, image: Image, frame: Frame) -> None:
        """Raises OutputError where it cannot be written; what is written stays and plays."""
        self.paths = [self._path]
        self._video.write(image, frame.pts)

    def close(self) -> None:
        """Raises OutputError where the file cannot be completed."""
        self._video.close()


class Segments:
    """``NAME-00001.mp4``, ``NAME-00002.mp4``, ...: a new file every ``length_s`` of video time.

    Each frame is in exactly one file, each file begins with a key frame at time 0 and has the
    size of its first frame. Numbers go on after the highest there is: what an earlier run wrote
    stays. A file is completed in a thread beside the next; the one after that waits for it.
    """

    def __init__(self, path: Path, info: SourceInfo, length_s: float, open_: OpenVideo) -> None:
        self.paths: list[Path] = []
        self._path = path
        self._info = info
        self._length = Fraction(str(length_s))
        self._open = open_
        self._video: Video | None = None
        self._part = 0  # frames of times from part * length on go into the file under way
        self._first_pts = 0
        self._number = _highest(path)
        self._closer = ThreadPoolExecutor(1, "segment")
        self._closing: Future[None] | None = None

    def write(self, image: Image, frame: Frame) -> None:
        """Adds ``image``; a frame behind the end of a file opens the next.

        Raises:
            OutputError: it cannot be written, or the file before could not be completed.
        """
        if self._video is None:
            self._first_pts = frame.pts
            self._video = self._next(image, frame)
        elif (part := self._part_of(frame)) > self._part:
            self._part = part
            self._complete(self._video, frame.pts)
            self._video = None  # if the next fails, nothing is left to close
            self._video = self._next(image, frame)
        self._video.write(image, frame.pts)

    def close(self) -> None:
        """Completes the last file and waits for the one before.

        Raises:
            OutputError: one could not be completed.
        """
        try:
            if self._video is not None:
                self._video.close()
        finally:
            self._closer.shutdown()
            self._wait()

    def _part_of(self, frame: Frame) -> int:
        return int((frame.pts - self._first_pts) * self._info.time_base // self._length)

    def _complete(self, video: Video, end_pts: int) -> None:
        self._wait()
        self._closing = self._closer.submit(video.close, end_pts)

    def _wait(self) -> None:
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.result()

    def _next(self, image: Image, frame: Frame) -> Video:
        path = self._claim()
        log.info("%s: begins at %.3f s", path, frame.time_s)
        try:
            video = self._open(path, _of_size(self._info, image))
        except PosertError:
            with suppress(OSError):  # the reason is told already
                path.unlink(missing_ok=True)
            raise
        self.paths.append(path)
        return video

    def _claim(self) -> Path:
        """Creates the file of the next free number, so that no other run takes it too."""
        while True:
            self._number += 1
            name = f"{self._path.stem}-{self._number:05d}{self._path.suffix}"
            path = self._path.with_name(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.open("xb").close()
            except FileExistsError:
                continue
            except OSError as e:
                raise unwritable(path, e) from e
            return path


def _highest(path: Path) -> int:
    """The highest number of the segments that are there, 0 where there is none."""
    name = re.compile(re.escape(path.stem) + r"-(\d{5,})" + re.escape(path.suffix))
    try:
        found = [name.fullmatch(other.name) for other in path.parent.iterdir()]
    except OSError:  # it is made, or told, when the first is opened
        return 0
    return max((int(match[1]) for match in found if match), default=0)


def _of_size(info: SourceInfo, image: Image) -> SourceInfo:
    height, width = image.shape[:2]
    if (width, height) == (info.width, info.height):
        return info
    return replace(info, width=width, height=height, sample_aspect_ratio=None)
