"""What a parser is told: thresholds, windows and caps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral


@dataclass(frozen=True, slots=True)
class ParserSettings:
    """How maps are parsed; a model's card holds the values that fit its network.

    Raises:
        ValueError: a value is out of its range; the message names it and what is expected.
    """

    threshold: float = 0.1  # least confidence of a peak, above 0 and at most 1
    window: int = 5  # side of the square a peak is the largest of and refined in, cells, odd
    samples: int = 7  # points read along a link, at least 2
    link_threshold: float = 0.1  # a link survives if its score is larger, 0 to below 1
    max_peaks: int = 20  # most peaks of one keypoint type
    max_people: int = 100  # most people of a picture
    min_parts: int = 1  # fewest keypoints of a person
    min_score: float = 0.0  # least person score, at least 0
    reference: bool = True  # exactly trt_pose's parser

    def __post_init__(self) -> None:
        peak, link = self.threshold, self.link_threshold
        _check_number("threshold", peak, 0 < peak <= 1, "above 0 and at most 1")
        _check_number("link_threshold", link, 0 <= link < 1, "0 or more and below 1")
        _check_count("window", self.window, 1)
        if self.window % 2 == 0:
            raise ValueError(f"window={self.window}: expected an odd number of cells")
        _check_count("samples", self.samples, 2)
        _check_count("max_peaks", self.max_peaks, 1)
        _check_count("max_people", self.max_people, 1)
        _check_count("min_parts", self.min_parts, 1)
        _check_number("min_score", self.min_score, self.min_score >= 0, "0 or more")


def _check_number(name: str, value: float, in_range: bool, expected: str) -> None:
    if not (math.isfinite(value) and in_range):
        raise ValueError(f"{name}={value}: expected a finite number, {expected}")


def _check_count(name: str, value: int, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value}: expected a whole number, at least {least}")
