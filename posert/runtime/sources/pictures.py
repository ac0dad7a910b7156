"""Pictures: one file is a source of one frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from posert.errors import InputError
from posert.runtime.sources.readable import check_readable
from posert.runtime.sources.source import Health, Span
from posert.types import Frame, Image, SourceInfo


class Picture:
    """One picture file of any kind OpenCV reads; grey, 16-bit and alpha become 8-bit BGR.

    Raises:
        InputError: it is missing, empty, or no picture.
    """

    def __init__(self, path: Path) -> None:
        self.skipped = 0
        self.dropped = 0
        self.health: Health | None = None
        self._image = read_image(path)
        height, width = self._image.shape[:2]
        self.info = SourceInfo(
            str(path), width, height, rate=Fraction(1), time_base=Fraction(1), frames=1, still=True
        )

    def frames(self, span: Span) -> Iterator[Frame]:
        if span.max_frames != 0:  # a still has no time: start and every pass it by
            yield Frame(self._image, index=0, pts=0, time_s=0.0)

    def close(self) -> None:
        return


def read_image(path: Path) -> Image:
    """The picture in ``path``, (H, W, 3) uint8 BGR, turned upright by its EXIF orientation.

    Raises:
        InputError: it cannot be read.
    """
    check_readable(path)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as e:
        raise InputError(f"{path}: cannot be read", got=e.strerror) from e
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as e:  # e.g. more pixels than OpenCV decodes
        raise InputError(f"{path}: cannot be decoded", got=str(e.err)) from e
    if image is None:
        raise InputError(
            f"{path}: is not a picture OpenCV can read", fix="convert it to PNG or JPEG"
        )
    return np.asarray(image, np.uint8)


def as_bgr(image: npt.NDArray[np.generic]) -> Image:
    """Any picture array as (H, W, 3) uint8 BGR: grey, BGRA (alpha left out) and 16-bit too.

    Raises:
        InputError: it is no picture: other dimensions, channels or dtype, or no pixels.
    """
    if image.ndim not in (2, 3) or 0 in image.shape or image.dtype not in (np.uint8, np.uint16):
        raise InputError(
            "image", got=f"{image.dtype} {image.shape}", expected="uint8 or uint16 (H, W[, 1|3|4])"
        )
    pixels = image if image.dtype == np.uint8 else image >> np.uint16(8)  # type: ignore[operator]
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] not in (1, 3, 4):
        raise InputError("image", got=f"{pixels.shape[2]} channels", expected="1, 3 or 4")
    three = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    return np.ascontiguousarray(three, np.uint8)
