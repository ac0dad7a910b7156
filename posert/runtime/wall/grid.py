"""Where each tile of a wall lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_GAP: Final = 2  # pixels between two tiles
_SHAPE: Final = 16 / 9  # of most pictures; for them the tiles are made
_LEAST_BAR, _MOST_BAR = 16, 64  # pixels: letters of 8 are the smallest one reads


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, in pixels from its top left."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bar(self) -> int:
        """How many of its rows the label takes, so that it is read at any number of tiles."""
        wanted = round(min(0.06 * self.height, 0.035 * self.width))
        return min(max(_LEAST_BAR, min(_MOST_BAR, wanted)), self.height // 2)

    @property
    def picture(self) -> tuple[int, int]:
        """Width and height of what the label leaves."""
        return self.width, self.height - self.bar


def grid(count: int, width: int, height: int) -> list[Box]:
    """``count`` equal boxes in rows on ``width`` x ``height`` pixels.

    Of all numbers of columns the one that shows pictures of 16:9 the largest: as many as rows on a
    wall of that shape.
    """
    columns = max(range(1, count + 1), key=lambda n: _scale(n, count, width, height))
    rows = -(-count // columns)
    return [_box(i % columns, i // columns, columns, rows, width, height) for i in range(count)]


def _scale(columns: int, count: int, width: int, height: int) -> float:
    """Height of a picture of 16:9 in a grid of so many columns."""
    across, down = _box(0, 0, columns, -(-count // columns), width, height).picture
    return min(down, across / _SHAPE)


def _box(column: int, row: int, columns: int, rows: int, width: int, height: int) -> Box:
    left, right = width * column // columns, width * (column + 1) // columns
    top, bottom = height * row // rows, height * (row + 1) // rows
    return Box(left, top, max(1, right - left - _GAP), max(1, bottom - top - _GAP))
