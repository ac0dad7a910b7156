"""Keypoints as they are drawn: which of them, and where to a sixteenth of a pixel."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from posert.types import Float32

SHIFT: Final = 4  # OpenCV draws at 1/16 pixel: keypoints are not rounded to whole ones

Point: TypeAlias = tuple[int, int]  # 1/16 pixels
Found: TypeAlias = npt.NDArray[np.bool_]  # (C,)


def found_in(keypoints: Float32) -> Found:
    """(C,) which of a person's keypoints (C, 3) have a place."""
    return np.asarray(np.isfinite(keypoints[:, :2]).all(axis=1))


def fixed(keypoints: Float32, found: Found) -> list[Point | None]:
    """(C, 3) pixels in OpenCV's fixed point; None where nothing was found."""
    scaled = np.rint(np.where(found[:, None], keypoints[:, :2], 0) * 2**SHIFT).astype(int)
    return [
        (x, y) if there else None
        for (x, y), there in zip(scaled.tolist(), found.tolist(), strict=True)
    ]
