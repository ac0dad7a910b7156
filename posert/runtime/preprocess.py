"""From a picture to the network's input, as its card says."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from posert.errors import ConfigError
from posert.model_card import InputCard, InputSize, height_and_width
from posert.types import Float32, Image, Images, Letterbox

MAX_SIDE = 4096  # pixels; a slip of the keys beyond it would take all the memory there is


def check_size(card: InputCard, size: InputSize | None) -> InputSize:
    """``size``, or the card's own where it is None.

    Raises:
        ConfigError: the network does not take this size.
    """
    if size is None or size == card.size:
        return card.size
    if card.fixed:
        raise ConfigError("input size", got=size, expected=f"{card.size}, the only one it takes")
    sides = (size,) if isinstance(size, int) else size
    for side in sides:
        if side > MAX_SIDE:
            raise ConfigError("input size", got=size, expected=f"at most {MAX_SIDE} pixels a side")
        if side < card.multiple or side % card.multiple:
            near = _nearest_sides(side, card.multiple)
            raise ConfigError(
                "input size", got=size, expected=f"multiples of {card.multiple}", fix=f"take {near}"
            )
    return size


def _nearest_sides(side: int, multiple: int) -> str:
    """``96 or 128`` for 100: the sizes around ``side`` that can be had."""
    below = max(side, 0) // multiple * multiple
    possible = [s for s in (below, below + multiple) if 0 < s <= MAX_SIDE]
    return " or ".join(map(str, possible or [multiple]))


def fit(image: Image, card: InputCard, size: InputSize, stride: int) -> tuple[Image, Letterbox]:
    """Scale and pad ``image`` (H, W, 3) uint8 BGR to the network's input size.

    Returns:
        The picture, uint8 (h, w, 3) BGR, and the mapping back to the original's own pixels.
    """
    (height, width), (inner_h, inner_w) = sizes(image.shape[:2], card, size)
    shrinks = inner_w < image.shape[1]  # averaging then gives +0.013 AP over picking neighbours
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (inner_w, inner_h), interpolation=method)
    canvas = np.full((height, width, 3), card.fill, np.uint8)
    canvas[:inner_h, :inner_w] = scaled
    return canvas, Letterbox(inner_w / image.shape[1], inner_h / image.shape[0], stride)


def normalise(frames: Images, card: InputCard) -> Float32:
    """The maps form's input, float32 (N, 3, H, W), of pictures uint8 (N, H, W, 3) BGR."""
    channels = (2, 1, 0) if card.colour == "rgb" else (0, 1, 2)
    tables = _normalisation(card.scale, card.mean, card.std)
    planes = [table[frames[..., c]] for table, c in zip(tables, channels, strict=True)]
    return np.stack(planes, axis=1)


def sizes(
    picture: tuple[int, int], card: InputCard, size: InputSize
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The input's (height, width), and that of the scaled picture inside it."""
    if card.resize == "stretch":
        full = height_and_width(size)
        return full, full
    limits = height_and_width(size)
    scale = min(limits[0] / picture[0], limits[1] / picture[1])
    inner = (max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale)))
    if isinstance(size, tuple) or card.fixed:
        return limits, inner
    return (_up(inner[0], card.multiple), _up(inner[1], card.multiple)), inner


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


@lru_cache
def _normalisation(
    scale: float, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Float32:
    """(3, 256): what each of a channel's pixel values becomes."""
    pixels = np.arange(256, dtype=np.float64) / scale
    return np.stack([(pixels - m) / s for m, s in zip(mean, std, strict=True)]).astype(np.float32)
