"""What a tile looks like: a label, and below it the picture, grey where it is not alive."""

from __future__ import annotations

import textwrap
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from posert.postprocess.draw.shrink import shrunk
from posert.types import Image

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PX: Final = 22  # height of its capitals at scale 1
_UNICODE: Final = int(cv2.__version__.split(".")[0]) >= 5  # before, OpenCV writes ASCII alone
_CAPITALS: Final = 0.55  # of a label's height
_MARGIN: Final = 0.35
_LINE: Final = 1.9  # of a capital, from one line to the next
_BOLD_PX: Final = 11  # capitals so high are bold: smaller ones would run together
_LEAST_BAR: Final = 6  # pixels; no letter fits less
_MOST_LINES: Final = 4  # of why a source ended
_WHITE: Final = (255, 255, 255)


class State(Enum):
    """How a source fares, in the word that its label says."""

    WAITING = "waiting"  # for its first frame
    RUNNING = "running"
    STALLED = "stalled"
    ENDED = "ended"
    FAILED = "failed"


_BARS: Final = {  # BGR
    State.WAITING: (48, 48, 48),
    State.RUNNING: (64, 48, 32),
    State.STALLED: (0, 110, 170),
    State.ENDED: (48, 48, 48),
    State.FAILED: (32, 32, 160),
}


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What a tile shows."""

    name: str
    state: State
    numbers: str = ""  # frames/s and latency, while it runs
    reason: str = ""  # why it ended, where it failed
    picture: Image | None = None  # as large as the tile is below its label

    def same(self, other: Face | None) -> bool:
        """Whether ``other`` looks alike."""
        return other is not None and (
            self.picture is other.picture
            and (self.name, self.state, self.numbers, self.reason)
            == (other.name, other.state, other.numbers, other.reason)
        )


def fitted(image: Image, width: int, height: int, pixel: Fraction | None = None) -> Image:
    """``image`` (H, W, 3) in ``width`` x ``height``, its shape kept, black around it.

    ``pixel`` is the width / height of one of its pixels; None: they are square.
    """
    rows, columns = image.shape[:2]
    shown = columns * float(pixel or 1)
    scale = min(width / shown, height / rows)
    size = (max(1, min(width, round(shown * scale))), max(1, min(height, round(rows * scale))))
    box = np.zeros((height, width, 3), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    box[y : y + size[1], x : x + size[0]] = shrunk(image, size)
    return box


def paint(tile: Image, bar: int, face: Face) -> None:
    """Paints ``face`` over ``tile`` (H, W, 3), its label over the first ``bar`` rows."""
    _paint_label(tile[:bar], face)
    below = tile[bar:]
    alive = face.state is State.RUNNING
    if face.picture is None:
        below[:] = 0
    else:
        below[:] = face.picture if alive else _greyed(face.picture)
    if not alive and bar >= _LEAST_BAR:
        _paint_reason(below, bar, face)


def _greyed(picture: Image) -> Image:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) * 0.45
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def _paint_label(label: Image, face: Face) -> None:
    """The name on the left, what is to be said of it on the right."""
    height, width = label.shape[:2]
    label[:] = _BARS[face.state]
    if height < _LEAST_BAR:
        return
    capitals = _CAPITALS * height
    margin = round(_MARGIN * height)
    said = face.numbers if face.state is State.RUNNING else face.state.value
    said = _cut(said, capitals, width - 2 * margin, keep_end=False)
    at = width - margin - _width(said, capitals)
    baseline = round((height + capitals) / 2 - height / 24)  # some letters go below it
    _write(label, said, (at, baseline), capitals, _WHITE)
    name = _cut(face.name, capitals, at - 2 * margin, keep_end=_is_path(face.name))
    _write(label, name, (margin, baseline), capitals, _WHITE)


def _paint_reason(below: Image, bar: int, face: Face) -> None:
    """The state, and why, on a band: below the people, or in the middle where nothing is shown."""
    height, width = below.shape[:2]
    capitals = min(_CAPITALS * bar, height / 3)
    step = _LINE * capitals
    across = max(8, int(0.94 * width / max(1, _width("n", capitals))))
    lines = [face.state.value, *textwrap.wrap(face.reason, across)]
    most = max(1, min(1 + _MOST_LINES, int(height / step)))
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    band = min(height, round(step * len(lines) + (step - capitals) / 2))
    top = height - band if face.picture is not None else (height - band) // 2
    below[top : top + band] = 0
    y = top + (band - step * (len(lines) - 1) + capitals) / 2
    for line in lines:
        text = _cut(line, capitals, round(0.98 * width), keep_end=False)
        _write(below, text, ((width - _width(text, capitals)) // 2, round(y)), capitals, _WHITE)
        y += step


def _is_path(name: str) -> bool:
    """Whether it is the end that tells it from others: folders are often the same ones."""
    return "/" in name and "://" not in name


@lru_cache(maxsize=2048)
def _cut(text: str, capitals: float, width: int, *, keep_end: bool) -> str:
    """``text``, its end or its start left out where it is wider than ``width`` pixels."""
    text = _readable(text)

    def shortened(kept: int) -> str:
        return f"...{text[-kept:]}" if keep_end else f"{text[:kept]}..."

    if _width(text, capitals) <= width:
        return text
    lengths = range(1, len(text))
    kept = bisect_right(lengths, width, key=lambda kept: _width(shortened(kept), capitals))
    return shortened(kept) if kept else ""


def _readable(text: str) -> str:
    """``text`` in letters that OpenCV can write: before 5.0 without accents, ``?`` for the rest."""
    if _UNICODE or text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode("ascii")


def _width(text: str, capitals: float) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, capitals / _FONT_PX, _thickness(capitals))
    return int(width)


def _thickness(capitals: float) -> int:
    return 1 if capitals < _BOLD_PX else max(2, round(capitals / 12))


def _write(
    image: Image,
    text: str,
    at: tuple[int, int],
    capitals: float,
    colour: tuple[int, int, int],
) -> None:
    """On a plain ground, at a baseline."""
    scale, thick = capitals / _FONT_PX, _thickness(capitals)
    cv2.putText(image, text, at, _FONT, scale, colour, thick, cv2.LINE_AA)
