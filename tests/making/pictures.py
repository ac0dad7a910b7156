"""Pictures whose people are known: a person is a blue dot (neck) left of a red one (nose)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from posert.types import Image, People

Point = tuple[float, float]  # x, y in pixels; the first pixel's centre is (0, 0)

GAP = 20.0  # pixels from the neck to the nose
BLUE, RED = (255, 0, 0), (0, 0, 255)


def picture(width: int = 96, height: int = 64, noses: Sequence[Point] = ((49.5, 29.5),)) -> Image:
    """A dark picture with a person at each of ``noses``."""
    canvas = np.zeros((height, width, 3), np.float64)
    for x, y in noses:
        _dot(canvas, x, y, RED)
        _dot(canvas, x - GAP, y, BLUE)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def nose_of_frame(index: int) -> Point:
    """Where the person of frame ``index`` of a clip is: another place in each of 12 frames.

    It is the centre of a map cell: between two, both would be equally strong peaks.
    """
    return 41.5 + 4 * (index % 12), 29.5


def noses(people: People) -> list[Point]:
    """The noses found, from left to right."""
    return sorted((float(x), float(y)) for x, y in people.keypoints[:, 0, :2])


def flat(width: int, height: int, bgr: tuple[int, int, int]) -> Image:
    """A picture of one colour."""
    return np.full((height, width, 3), bgr, np.uint8)


def _dot(canvas: npt.NDArray[np.float64], x: float, y: float, bgr: tuple[int, int, int]) -> None:
    rows, columns = np.indices(canvas.shape[:2])
    strength = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
    canvas += strength[:, :, None] * np.array(bgr)
