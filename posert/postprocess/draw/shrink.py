"""Pictures made smaller before they are drawn on, so that words and lines keep their size."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from posert.types import Image, People

Size = tuple[float, float]  # width and height, pixels


def size_within(image: Image, room: Size) -> tuple[int, int]:
    """Width and height that ``image`` (H, W, 3) has in ``room``, its shape kept; never larger."""
    rows, columns = image.shape[:2]
    scale = min(1.0, room[0] / columns, room[1] / rows)
    return max(1, round(scale * columns)), max(1, round(scale * rows))


def shrunk(image: Image, size: tuple[int, int]) -> Image:
    """``image`` (H, W, 3) in so many pixels of width and height, as a new array."""
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:  # faster than at once
        halves = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, halves, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def moved(people: People, image: Image, size: tuple[int, int]) -> People:
    """``people`` of ``image`` where they are once it has ``size``."""
    rows, columns = image.shape[:2]
    scale = np.array([size[0] / columns, size[1] / rows], np.float32)
    keypoints = people.keypoints.copy()
    keypoints[:, :, :2] = (keypoints[:, :, :2] + 0.5) * scale - 0.5  # (0, 0): a pixel's centre
    return replace(people, keypoints=keypoints)
