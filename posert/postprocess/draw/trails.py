"""The way that each followed person came."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from posert.postprocess.draw.colours import hue
from posert.postprocess.draw.heads import body
from posert.postprocess.draw.points import SHIFT, found_in
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

_MOST: Final = 2048  # points of a trail: a minute at 30 frames a second
_BRIDGED_S: Final = 0.5  # a person unseen for longer leaves a hole
_JUMP: Final = 0.5  # of a person's size: further from one picture to the next is another body
_FASTEST: Final = 1.0  # sizes a second: with few pictures a second who walks goes so far
_PIECES: Final = 6  # of a trail, each thicker than the older one


class _Spot(NamedTuple):
    time_s: float
    x: float  # pixels
    y: float
    size: float  # of the person, pixels
    joined: bool  # a line leads here from the one before


class Trails:
    """Remembers where ids were, for so many seconds and no longer."""

    def __init__(self, topology: Topology, seconds: float) -> None:
        self._body = body(topology)
        self._seconds = seconds
        self._trails: dict[int, deque[_Spot]] = {}
        self._drawn_s = 0.0  # time of the last picture
        self._size: tuple[int, ...] = ()

    def add(self, people: People, time_s: float, size: tuple[int, ...]) -> None:
        """Where ``people`` are at ``time_s``, in a picture of ``size``.

        Another size, or a time before the last one, begins anew.
        """
        if size != self._size or time_s < self._drawn_s:
            self._trails.clear()
        for keypoints, identity in zip(people.keypoints, _ids(people), strict=True):
            place = self._place(keypoints)
            if identity > 0 and place is not None:
                trail = self._trails.setdefault(identity, deque(maxlen=_MOST))
                self._append(trail, time_s, *place, _extent(keypoints))
        self._drawn_s, self._size = time_s, size
        self._forget(time_s - self._seconds)

    def draw(self, canvas: Image) -> None:
        """Draws all trails, the older the thinner."""
        thickest = max(2.0, min(canvas.shape[:2]) / 180)
        for identity, trail in self._trails.items():
            spots, colour = list(trail), hue(identity - 1)
            ends = np.linspace(0, len(spots) - 1, _PIECES + 1).round().astype(int).tolist()
            for i, (first, last) in enumerate(pairwise(ends), start=1):
                lines = _lines(spots[first : last + 1])
                stroke = max(1, round(thickest * i / _PIECES))
                cv2.polylines(canvas, lines, False, colour, stroke, cv2.LINE_AA, SHIFT)

    def _place(self, keypoints: Float32) -> tuple[float, float] | None:
        """Between the shoulders; the middle of what was found, where no keypoint is there.

        Without shoulders a person who has some leaves the trail: another place would make it jump.
        """
        found = found_in(keypoints)
        of_body = (self._body.neck, self._body.shoulders)
        for group in of_body:
            if group and found[group].all():
                x, y = keypoints[group, :2].mean(axis=0).tolist()
                return x, y
        if any(of_body) or not found.any():
            return None
        x, y = keypoints[found, :2].mean(axis=0).tolist()
        return x, y

    def _append(self, trail: deque[_Spot], time_s: float, x: float, y: float, size: float) -> None:
        if trail and trail[-1].time_s == time_s:
            trail.pop()
        joined = bool(trail) and self._goes_on(trail[-1], time_s, x, y, size)
        trail.append(_Spot(time_s, x, y, size, joined))

    def _goes_on(self, before: _Spot, time_s: float, x: float, y: float, size: float) -> bool:
        """Whether a line leads on: no long absence, and not to another body."""
        passed_s = time_s - before.time_s
        if before.time_s < self._drawn_s and passed_s > _BRIDGED_S:
            return False
        most = max(_JUMP, _FASTEST * passed_s) * max(before.size, size)
        return math.hypot(x - before.x, y - before.y) <= most

    def _forget(self, before_s: float) -> None:
        for identity, trail in list(self._trails.items()):
            while trail and trail[0].time_s < before_s:
                trail.popleft()
            if not trail:
                del self._trails[identity]


def _extent(keypoints: Float32) -> float:
    """Pixels from the first to the last keypoint found (C, 3), the longer way."""
    return float(np.ptp(keypoints[found_in(keypoints), :2], axis=0).max())


def _ids(people: People) -> list[int]:
    ids: list[int] = [0] * len(people) if people.ids is None else people.ids.tolist()
    return ids


def _lines(spots: list[_Spot]) -> list[npt.NDArray[np.int32]]:
    """Corners of the unbroken lines through ``spots``, in OpenCV's fixed point."""
    runs: list[list[tuple[float, float]]] = []
    for i, spot in enumerate(spots):
        if i == 0 or not spot.joined:
            runs.append([])
        runs[-1].append((spot.x, spot.y))
    return [np.rint(np.array(run) * 2**SHIFT).astype(np.int32) for run in runs]
