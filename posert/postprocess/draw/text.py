"""Words on a picture, readable on any background and at any size of the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from posert.postprocess.draw.colours import Colour
from posert.types import Image

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
Alpha = npt.NDArray[np.float32]  # (h, w, 1) 0..1


@dataclass(frozen=True, slots=True)
class Lettering:
    """A size of letters."""

    scale: float  # OpenCV's; about 20 pixels of a capital at 1
    stroke: int  # pixels
    outline: int  # pixels around the strokes

    @classmethod
    def of(cls, canvas: Image, share: float = 1.0) -> Lettering:
        """For this picture: in proportion to its shorter side, and never too small to read.

        ``share`` makes smaller letters of a second kind.
        """
        scale = max(0.4, min(canvas.shape[:2]) / 1000 * share)
        return cls(scale, max(1, round(1.7 * scale)), max(1, round(1.7 * scale)))

    def size(self, text: str) -> tuple[int, int]:
        """Width and height of ``text`` in pixels, outline included."""
        height, width, _ = _stamp(text, self)[0].shape
        return width, height

    def place(self, canvas: Image, text: str, left: float, top: float) -> Box:
        """Where ``write`` puts ``text``."""
        width, height = self.size(text)
        x = max(0, min(round(left), canvas.shape[1] - width))
        y = max(0, min(round(top), canvas.shape[0] - height))
        return x, y, x + width, y + height

    def write(self, canvas: Image, text: str, left: float, top: float, colour: Colour) -> None:
        """Writes ``text``, moved into the picture where it would hang over its border."""
        x, y, right, bottom = self.place(canvas, text, left, top)
        region = canvas[y:bottom, x:right]
        rows, columns = region.shape[:2]  # less than the text's where the picture is smaller
        letters, shade = (alpha[:rows, :columns] for alpha in _stamp(text, self))
        region[:] = region * (1 - shade) + letters * np.array(colour, np.float32)


@lru_cache(maxsize=512)
def _stamp(text: str, letters: Lettering) -> tuple[Alpha, Alpha]:
    """How much of each pixel the letters cover, and the letters with their black outline.

    The outline is made of the letters: drawn thicker, those of some OpenCV versions are wider too.
    """
    (width, height), below = cv2.getTextSize(text, _FONT, letters.scale, letters.stroke)
    room = 2 * (letters.stroke + letters.outline)
    plane = np.zeros((height + below + 2 * room, width + 2 * room), np.uint8)
    at = (room, room + height)
    cv2.putText(plane, text, at, _FONT, letters.scale, 255, letters.stroke, cv2.LINE_AA)
    around = 2 * letters.outline + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (around, around))
    shade = cv2.dilate(plane, kernel)
    shade = cv2.add(shade, shade)  # thin strokes are faint
    x, y, w, h = cv2.boundingRect(shade)
    cut = np.s_[y : y + h, x : x + w, None]
    return _alpha(plane[cut]), _alpha(shade[cut])


def _alpha(plane: npt.ArrayLike) -> Alpha:
    return np.asarray(plane, np.float32) / np.float32(255)


@dataclass(slots=True)
class Places:
    """Where words stand already, so that no other is written over them."""

    _taken: list[Box] = field(default_factory=list)

    def take(self, box: Box) -> None:
        """A word is there, whatever else is."""
        self._taken.append(box)

    def take_if_free(self, box: Box) -> bool:
        """Takes ``box``; False: another word is there."""
        left, top, right, bottom = box
        for x0, y0, x1, y1 in self._taken:
            if x0 < right and left < x1 and y0 < bottom and top < y1:
                return False
        self._taken.append(box)
        return True
