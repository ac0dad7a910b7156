"""How people are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

_LONGEST_TRAIL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """How people are drawn.

    Raises:
        ValueError: a number is out of its range.
    """

    colours: Literal["limbs", "trt_pose", "coco", "ids"] = "limbs"  # by link, green, side, person
    line_width: float = 1.0  # times the width chosen for the person's size
    boxes: bool = False  # a box and the score of each person
    ids: bool = False  # the number of each person who is followed
    trails_s: float = 0.0  # seconds of the way each followed person came; 0: none
    names: bool = False  # of the keypoints
    fade: bool = False  # the less certain, the fainter
    blur_faces: bool = False
    background: Literal["picture", "black", "people"] = "picture"  # people: black around them

    def __post_init__(self) -> None:
        if not (math.isfinite(self.line_width) and self.line_width > 0):
            raise ValueError(f"line_width is {self.line_width}: expected above 0")
        if not 0 <= self.trails_s <= _LONGEST_TRAIL_S:
            raise ValueError(f"trails_s is {self.trails_s}: expected 0 to {_LONGEST_TRAIL_S:.0f}")
