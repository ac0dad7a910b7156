"""Pictures that carry a number one can read after any encoder, and videos of such."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from making.clips import read
from posert.types import Image

_BITS = 12


def numbered(number: int, width: int = 96, height: int = 64) -> Image:
    """A picture of 12 stripes, white where the number's bit is set; up to 4095."""
    bits = [255 if number >> bit & 1 else 0 for bit in range(_BITS)]
    row = np.repeat(np.array(bits, np.uint8), -(-width // _BITS))[:width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number_of(image: Image) -> int:
    """The number that ``numbered`` put there; the picture may be scaled since."""
    height, width = image.shape[:2]
    middles = [int((bit + 0.5) * width / _BITS) for bit in range(_BITS)]
    levels = [float(image[height // 2, x - 1 : x + 2].mean()) for x in middles]
    return sum(1 << bit for bit, level in enumerate(levels) if level > 127)


def numbers_of(path: Path) -> list[int]:
    """The numbers of all frames of a video."""
    return [number_of(image) for image in read(path)]
