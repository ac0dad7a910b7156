"""Links and keypoints of people."""

from __future__ import annotations

from itertools import repeat
from typing import Final

import cv2
import numpy as np

from posert.postprocess.draw.colours import Colour, palette, person_colour
from posert.postprocess.draw.points import SHIFT, Point, fixed, found_in
from posert.postprocess.draw.style import DrawStyle
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

_SURE: Final = 0.6  # score from which nothing fades
_FAINTEST: Final = 0.15  # even what is hardly certain can be seen


def draw_skeletons(canvas: Image, people: People, topology: Topology, style: DrawStyle) -> None:
    """Draws the links with both keypoints found, and the keypoints found."""
    colours = palette(topology, style.colours)
    for number, keypoints in enumerate(people.keypoints):
        found = found_in(keypoints)
        if not found.any():
            continue
        own = repeat(person_colour(people, number))
        width = line_width(keypoints[found], canvas, style)
        points = fixed(keypoints, found)
        opacity = _opacity(keypoints, style)
        for (a, b), colour in zip(topology.links, colours.links or own, strict=False):
            start, end = points[a], points[b]
            if start is not None and end is not None:
                _link(canvas, start, end, colour, max(1, round(width)), min(opacity[a], opacity[b]))
        for point, colour, visible in zip(points, colours.points or own, opacity, strict=False):
            if point is not None:
                _dot(canvas, point, colour, max(1.5, 0.9 * width), visible)


def line_width(found: Float32, canvas: Image, style: DrawStyle) -> float:
    """Pixels: about a sixtieth of the person's size, so that near and far ones read alike.

    Pictures of more than 1080 lines are mostly looked at scaled down: limits grow with them.
    """
    extent = float(np.ptp(found[:, :2], axis=0).max())
    grown = max(1.0, min(canvas.shape[:2]) / 1080)
    width: float = max(grown, min(12.0 * grown, extent / 60)) * style.line_width
    return width


def _opacity(keypoints: Float32, style: DrawStyle) -> list[float]:
    if not style.fade:
        return [1.0] * len(keypoints)
    certain = np.nan_to_num(keypoints[:, 2] / _SURE, nan=0.0).clip(0, 1)
    opacity: list[float] = (_FAINTEST + (1 - _FAINTEST) * certain).tolist()
    return opacity


def _link(
    canvas: Image, start: Point, end: Point, colour: Colour, stroke: int, opacity: float
) -> None:
    if opacity >= 1:
        cv2.line(canvas, start, end, colour, stroke, cv2.LINE_AA, SHIFT)
        return
    region = _region(canvas, [start, end], stroke)
    before = region.copy()
    cv2.line(canvas, start, end, colour, stroke, cv2.LINE_AA, SHIFT)
    _mix(region, before, opacity)


def _dot(canvas: Image, point: Point, colour: Colour, radius: float, opacity: float) -> None:
    r = round(radius * 2**SHIFT)
    if opacity >= 1:
        cv2.circle(canvas, point, r, colour, cv2.FILLED, cv2.LINE_AA, SHIFT)
        return
    region = _region(canvas, [point], radius)
    before = region.copy()
    cv2.circle(canvas, point, r, colour, cv2.FILLED, cv2.LINE_AA, SHIFT)
    _mix(region, before, opacity)


def _region(canvas: Image, points: list[Point], reach: float) -> Image:
    """The part of ``canvas`` that a stroke over ``points`` can change; empty outside of it."""
    corners = np.array(points) / 2**SHIFT
    x0, y0 = np.maximum(np.floor(corners.min(axis=0) - reach - 2), 0).astype(int)
    x1, y1 = np.maximum(np.ceil(corners.max(axis=0) + reach + 3), 0).astype(int)
    return canvas[y0:y1, x0:x1]


def _mix(region: Image, before: Image, opacity: float) -> None:
    if region.size:
        cv2.addWeighted(region, opacity, before, 1 - opacity, 0, dst=region)
