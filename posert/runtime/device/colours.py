"""From luma and chroma to colours, as FFmpeg tags them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

UNTAGGED: Final = 2  # a colour matrix that the file does not name
BT709: Final = 1
FULL_RANGE: Final = 2  # luma 0 to 255, not 16 to 235
HD: Final = 720  # lines from which players take untagged colours as BT.709, not BT.601
# FFmpeg's code of a matrix -> share of red and of blue in luma
_SHARES: Final = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601 of 625 lines
    6: (0.299, 0.114),  # and of 525
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}


@dataclass(frozen=True, slots=True)
class Colours:
    """How a stream's colours are meant; ``matrix`` and ``range`` are FFmpeg's codes."""

    matrix: int  # a key of _SHARES: known
    full: bool

    @classmethod
    def of(cls, matrix: int, range_: int, height: int) -> Colours | None:
        """Those of a picture of so many lines; None where the matrix is an unusual one."""
        if matrix == UNTAGGED:
            matrix = BT709 if height >= HD else 5
        return cls(matrix, range_ == FULL_RANGE) if matrix in _SHARES else None


class Factors(NamedTuple):
    """Red is ``luma_scale * (y - luma_offset) + red_v * (v - 128)``, and so on.

    Fixed-point numbers as FFmpeg's conversion on x86 has them: 1 is 8192, of luma_offset 8.
    """

    luma_scale: int
    luma_offset: int
    red_v: int
    green_u: int
    green_v: int
    blue_u: int


@lru_cache
def factors(colours: Colours) -> Factors:
    """What ``colours`` mean in numbers."""
    red, blue = _SHARES[colours.matrix]
    luma, chroma = (1.0, 1.0) if colours.full else (255 / 219, 255 / 224)
    red_v, blue_u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    green = 1 - red - blue
    return Factors(
        luma_scale=_fixed(luma),
        luma_offset=0 if colours.full else 16 * 8,
        red_v=_fixed(red_v),
        green_u=-_fixed(blue_u * blue / green),
        green_v=-_fixed(red_v * red / green),
        blue_u=_fixed(blue_u),
    )


def _fixed(value: float) -> int:
    return math.floor(value * 8192 + 0.5)
