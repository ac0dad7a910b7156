"""What the CUDA kernel ``resize_nv12`` does, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from posert.runtime.device.colours import Factors
from posert.types import Image

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def to_bgr(luma: Bytes, chroma: Bytes, f: Factors) -> Image:
    """(H, W) luma and (H/2, W/2, 2) chroma as (H, W, 3) BGR."""
    both = chroma.repeat(2, axis=0).repeat(2, axis=1)[: len(luma), : luma.shape[1]]
    u, v = ((both[..., c].astype(int) - 128) * 8 for c in (0, 1))
    y = (luma.astype(int) * 8 - f.luma_offset) * f.luma_scale >> 16
    green = y + (u * f.green_u >> 16) + (v * f.green_v >> 16)
    bgr = np.stack([y + (u * f.blue_u >> 16), green, y + (v * f.red_v >> 16)], -1)
    return _bytes(bgr)


def resized(bgr: Image, height: int, width: int) -> Image:
    """The mean of the area where both sides shrink, else interpolated between neighbours."""
    shrinks = height <= bgr.shape[0] and width <= bgr.shape[1]
    weights = areas if shrinks else neighbours
    rows, columns = weights(bgr.shape[0], height), weights(bgr.shape[1], width)
    scaled = np.einsum("ah,bw,hwc->abc", rows, columns, bgr.astype(np.float64), optimize=True)
    return _bytes(np.rint(scaled))


def areas(given: int, wanted: int) -> Floats:
    """(wanted, given): the share of each pixel in each larger one."""
    scale = given / wanted
    start = np.arange(wanted)[:, None] * scale
    pixels = np.arange(given)[None]
    covered = np.minimum(start + scale, pixels + 1) - np.maximum(start, pixels)
    return np.asarray(np.clip(covered, 0, 1) / scale)


def neighbours(given: int, wanted: int) -> Floats:
    """(wanted, given): the weights of the two pixels around each smaller one's centre."""
    at = np.clip((np.arange(wanted) + 0.5) * given / wanted - 0.5, 0, given - 1)
    return np.asarray(np.clip(1 - abs(at[:, None] - np.arange(given)[None]), 0, 1))


def _bytes(values: npt.NDArray[Any]) -> Bytes:
    return np.asarray(values.clip(0, 255), np.uint8)
