"""A sheet of frames spread evenly over a run, however long it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posert.runtime.sinks import write_picture
from posert.types import Frame, Image

_COLUMNS, _ROWS = 3, 3
_BOX = 640  # pixels: a frame on the sheet fits a square of this side
_GAP = 6


class ContactSheet:
    """Nine drawn frames on one picture, written when it is closed.

    It keeps every n-th frame, and each time it has twice as many as it needs drops every other
    and doubles n: bounded memory without knowing how long the run is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: list[Image] = []
        self._step = 1
        self._seen = 0

    def write(self, image: Image, frame: Frame) -> None:
        if self._seen % self._step == 0:
            scale = _BOX / max(image.shape[:2])
            height, width = (max(1, round(side * scale)) for side in image.shape[:2])
            small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            self._kept.append(np.asarray(small, np.uint8))
        self._seen += 1
        if len(self._kept) >= 4 * _COLUMNS * _ROWS:
            self._kept = self._kept[::2]
            self._step *= 2

    def close(self) -> None:
        """Raises OutputError where the sheet cannot be written."""
        if self._kept:
            write_picture(self._path, self._sheet())

    def _sheet(self) -> Image:
        count = min(len(self._kept), _COLUMNS * _ROWS)
        chosen = np.linspace(0, len(self._kept) - 1, count).round().astype(int)
        pictures = [self._kept[i] for i in chosen]
        columns = min(count, _COLUMNS)
        rows = -(-count // columns)
        height, width = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
        sheet = np.full(
            (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 32, np.uint8
        )
        for place, picture in enumerate(pictures):
            y = _GAP + place // columns * (height + _GAP)
            x = _GAP + place % columns * (width + _GAP)
            sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        return sheet
