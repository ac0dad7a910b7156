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
from posert.runtime.sources.addresses import is_address
from posert.runtime.sources.inputs import expand, open_source
from posert.runtime.sources.source import Source, Span
from posert.types import Image

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
        total = source.info.frames or _counted(name)
        if total < _SEEK_FROM * count:
            yield from _in_turn(source, count, total)
            return
        for place in spread(count + 1, total)[:-1]:  # the end may be nearer than the header says
            span = Span(start_s=float(place / source.info.rate), max_frames=1)
            yield from (_reduced(frame.image) for frame in source.frames(span))
    finally:
        source.close()


def _in_turn(source: Source, count: int, total: int) -> Iterator[Image]:
    """``count`` of ``total`` frames by decoding all: seeking to each would take longer."""
    every = max(1, total // count)  # frames between are decoded, but not made pictures of
    places = set(spread(count, -(-total // every)))
    for place, frame in enumerate(source.frames(Span(every=every))):
        if place in places:
            yield _reduced(frame.image)


def _counted(name: str) -> int:
    """How many frames a video has whose header does not tell."""
    source = open_source(name)
    try:
        return sum(1 for _ in source.frames(Span()))
    finally:
        source.close()


def _reduced(image: Image) -> Image:
    scale = (_MOST_PIXELS / (image.shape[0] * image.shape[1])) ** 0.5
    if scale >= 1:
        return image
    smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
