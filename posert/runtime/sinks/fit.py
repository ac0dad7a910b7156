"""Pictures of another size into the size of the file they go to."""

from __future__ import annotations

import cv2
import numpy as np

from posert.types import Image


def letterbox(image: Image, width: int, height: int) -> Image:
    """``image`` (H, W, 3) scaled into ``width`` x ``height``, its shape kept, black around it."""
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    scale = min(width / columns, height / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = np.zeros((height, width, 3), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    fitted[y : y + size[1], x : x + size[0]] = cv2.resize(image, size, interpolation=how)
    return fitted


def even(image: Image) -> Image:
    """``image`` with its last row or column doubled where their number is odd, as 4:2:0 needs."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not (bottom or right):
        return image
    return np.asarray(
        cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8
    )
