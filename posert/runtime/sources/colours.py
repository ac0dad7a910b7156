"""FFmpeg's pictures as arrays."""

from __future__ import annotations

from typing import Any, Final

from av.video.reformatter import Colorspace

from posert.types import Image

_UNTAGGED: Final = 2  # FFmpeg's code for a colour matrix the stream does not name
_HD: Final = 720  # lines from which players take untagged colours as BT.709, not BT.601


def bgr(decoded: Any) -> Image:
    """An ``av.VideoFrame`` as (H, W, 3) uint8 BGR."""
    if decoded.colorspace == _UNTAGGED and decoded.height >= _HD:
        decoded = decoded.reformat(format="bgr24", src_colorspace=Colorspace.ITU709)
    image: Image = decoded.to_ndarray(format="bgr24")
    return image
