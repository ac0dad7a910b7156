"""Faces made unrecognisable, before anything is drawn."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import cv2
import numpy as np

from posert.errors import ConfigError
from posert.postprocess.draw.heads import Head, body, find_heads, safe_radius
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

_MARGIN: Final = 1.3  # of the head's radius: keypoints are off by some pixels
_CELLS: Final = 5  # across a head: 8 cm each, more than the eyes are apart
_LEAST: Final = 1 / 60  # of the picture's shorter side: the least radius
_LINGERS_S: Final = 0.5  # a head that the network loses stays blurred where it was
_GROWS: Final = 1.0  # of its radius a second, as it may have moved
_MOST: Final = 1000  # heads: where a clock stands still none is ever lost for long


class _Blurred(NamedTuple):
    x: float  # pixels
    y: float
    radius: float
    seen_s: float


class FaceBlur:
    """Blurs the heads of the people found, and for half a second where heads were."""

    def __init__(self, topology: Topology) -> None:
        """What the keypoints tell of heads.

        Raises:
            ConfigError: they tell nothing.
        """
        self.body = body(topology)
        if not self.body.has_head:
            raise ConfigError(
                f"blur_faces: keypoints of {topology.name!r} tell nothing of heads",
                got=", ".join(topology.keypoints[:5]),
                expected="a nose, eyes, ears, a neck or shoulders",
            )
        self._blurred: list[_Blurred] = []
        self._size = (0, 0)

    def blur(self, canvas: Image, people: People, time_s: float) -> None:
        """Blurs, on ``canvas``, all heads of ``people`` and those lost a moment ago."""
        least = _LEAST * min(canvas.shape[:2])
        now = [
            _Blurred(*circle, time_s)
            for keypoints in people.keypoints
            for circle in self.circles(keypoints, least)
        ]
        if self._size != canvas.shape[:2]:
            self._size, self._blurred = canvas.shape[:2], []
        lost = [old for old in self._blurred if _is_lost(old, now, time_s)]
        self._blurred = now + lost[: max(0, _MOST - len(now))]
        for head in self._blurred:
            grown = head.radius * (1 + _GROWS * (time_s - head.seen_s))
            _pixelate(canvas, head.x, head.y, grown)

    def circles(self, keypoints: Float32, least: float) -> list[Head]:
        """What is blurred of a person (C, 3), with at least so many pixels of radius."""
        radius = max(least, safe_radius(keypoints, self.body))
        heads = find_heads(keypoints, self.body, radius)
        return [head._replace(radius=_MARGIN * head.radius) for head in heads]


def _is_lost(old: _Blurred, now: list[_Blurred], time_s: float) -> bool:
    """No head is where this one was, and it was there a moment ago."""
    if not 0 <= time_s - old.seen_s <= _LINGERS_S:  # 0: two frames of one time
        return False
    return all(math.hypot(old.x - new.x, old.y - new.y) > new.radius / 2 for new in now)


def _pixelate(canvas: Image, x: float, y: float, radius: float) -> None:
    """Leaves a few soft cells of the circle; what is outside of the picture is left out."""
    x0, x1 = _clip(x - radius, canvas.shape[1]), _clip(x + radius + 1, canvas.shape[1])
    y0, y1 = _clip(y - radius, canvas.shape[0]), _clip(y + radius + 1, canvas.shape[0])
    region = canvas[y0:y1, x0:x1]
    if not region.size:
        return
    cell = 2 * radius / _CELLS
    cells = (max(1, round((x1 - x0) / cell)), max(1, round((y1 - y0) / cell)))
    few = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(few, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(region.shape[:2], np.uint8)
    cv2.circle(mask, (round(x) - x0, round(y) - y0), round(radius), 255, cv2.FILLED)
    cv2.copyTo(soft, mask, region)


def _clip(value: float, most: int) -> int:
    return int(min(max(value, 0), most))
