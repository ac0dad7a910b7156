"""Pictures to calibrate and judge an engine with, spread over a folder or a clip."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from posert.config import shipped
from posert.errors import InputError
from posert.runtime.sources.capture import is_address
from posert.runtime.sources.inputs import expand, open_source
from posert.runtime.sources.source import Span
from posert.types import Image, SourceInfo

log = logging.getLogger(__name__)

_SEEK_FROM = 100  # frames between two that are taken
_MOST_PIXELS = 1280 * 720  # a network sees less; a hundred pictures of this size are 280 MB


def shipped_pictures(count: int) -> list[Image]:
    """Frames of the demo clip: what an engine is judged with where nothing else is given.

    Raises:
        InputError: the clip is not there.
    """
    return read_pictures(shipped("demo") / "walkers.mp4", count)


def read_pictures(path: Path, count: int) -> list[Image]:
    """At most ``count`` pictures (H, W, 3) uint8 BGR of a folder, a picture or a video.

    Files are taken evenly from first to last, and so are the frames of each video. What cannot be
    read is left out, and a line says so.

    Raises:
        InputError: there is not one picture, or the path is a camera or stream.
    """
    if is_address(str(path)) or re.match(r"\w{2,}:/", str(path)):  # Path makes one of two slashes
        raise InputError("calibration: a camera or stream", expected="a folder, picture or video")
    names = expand([str(path)])
    chosen = [names[i] for i in spread(count, len(names))]
    each = -(-count // len(chosen))
    pictures: list[Image] = []
    failed: list[InputError] = []
    for name in chosen:
        try:
            pictures += _frames(name, each)
        except InputError as e:
            failed.append(e)
    if not pictures:
        reason = str(failed[0]) if failed else "it holds none"
        raise InputError(f"calibration: no picture in {path}: {reason}")
    if failed:
        log.warning("calibration: %d of %d files left out: %s", len(failed), len(chosen), failed[0])
    return pictures[:count]


def spread(count: int, total: int) -> list[int]:
    """At most ``count`` of ``total`` places, evenly from the first to the last."""
    count = min(count, total)
    return [round(i * (total - 1) / max(1, count - 1)) for i in range(count)]


def fingerprint(pictures: list[Image]) -> str:
    """sha256 of all pixels."""
    found = hashlib.sha256()
    for picture in pictures:
        found.update(repr(picture.shape).encode())
        found.update(picture.tobytes())
    return found.hexdigest()


def _frames(name: str, count: int) -> Iterator[Image]:
    source = open_source(name)
    try:
        for span in _spans(source.info, count):
            for frame in source.frames(span):
                yield _reduced(frame.image)
    finally:
        source.close()


def _spans(info: SourceInfo, count: int) -> Iterator[Span]:
    """Where the frames are taken: of a long video by seeking, for decoding it all takes minutes."""
    total = info.frames or count
    if total < _SEEK_FROM * count:
        yield Span(every=max(1, total // count), max_frames=count)
        return
    for place in spread(count + 1, total)[:-1]:  # the end may be nearer than the header says
        yield Span(start_s=float(place / info.rate), max_frames=1)


def _reduced(image: Image) -> Image:
    scale = (_MOST_PIXELS / (image.shape[0] * image.shape[1])) ** 0.5
    if scale >= 1:
        return image
    smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
