"""FFmpeg's pictures as arrays."""

from __future__ import annotations

from typing import Any

from av.video.reformatter import Colorspace

from posert.runtime.device.colours import HD, UNTAGGED
from posert.types import Image


def bgr(decoded: Any) -> Image:
    """An ``av.VideoFrame`` as (H, W, 3) uint8 BGR."""
    if decoded.colorspace == UNTAGGED and decoded.height >= HD:
        decoded = decoded.reformat(format="bgr24", src_colorspace=Colorspace.ITU709)
    image: Image = decoded.to_ndarray(format="bgr24")
    return image
