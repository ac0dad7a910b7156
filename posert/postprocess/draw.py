"""The overlay: skeletons on a copy of the picture, never a line to a missing keypoint."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

Colour = tuple[int, int, int]  # BGR

_SHIFT = 4  # OpenCV draws at 1/16 pixel: keypoints are not rounded to whole ones
_GREEN: Colour = (0, 220, 0)


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """How people are drawn."""

    colours: Literal["limbs", "people", "plain"] = "limbs"  # by link, by person, trt_pose's green
    line_width: float = 1.0  # times the width chosen for the person's size
    boxes: bool = False  # a box and the score of each person


def draw_people(image: Image, people: People, topology: Topology, style: DrawStyle) -> Image:
    """``image`` (H, W, 3) uint8 BGR with ``people`` (source pixels) drawn on it, as a new array."""
    canvas = np.array(image, order="C")
    for number, keypoints in enumerate(people.keypoints):
        found = ~np.isnan(keypoints[:, 0])
        if not found.any():
            continue
        width = _line_width(keypoints[found], style)
        _draw_links(canvas, keypoints, topology, number, width, style)
        _draw_points(canvas, keypoints, number, width, style)
        if style.boxes:
            _draw_box(canvas, keypoints[found], float(people.scores[number]), number)
    return canvas


def _line_width(found: Float32, style: DrawStyle) -> float:
    """Pixels: about a sixtieth of the person's size, so that near and far ones read alike."""
    extent = float(np.ptp(found[:, :2], axis=0).max()) if len(found) > 1 else 0.0
    return max(1.0, min(12.0, extent / 60)) * style.line_width


def _draw_links(
    canvas: Image,
    keypoints: Float32,
    topology: Topology,
    number: int,
    width: float,
    style: DrawStyle,
) -> None:
    for k, (a, b) in enumerate(topology.links):
        if np.isnan(keypoints[[a, b], 0]).any():
            continue
        start, end = _fixed(keypoints[a]), _fixed(keypoints[b])
        colour = _link_colour(style, k, number)
        cv2.line(canvas, start, end, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _draw_points(
    canvas: Image, keypoints: Float32, number: int, width: float, style: DrawStyle
) -> None:
    radius = round(max(1.5, 0.9 * width) * 2**_SHIFT)
    for keypoint in keypoints:
        if np.isnan(keypoint[0]):
            continue
        colour = _point_colour(style, number)
        cv2.circle(canvas, _fixed(keypoint), radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_box(canvas: Image, found: Float32, score: float, number: int) -> None:
    low, high = found[:, :2].min(axis=0), found[:, :2].max(axis=0)
    margin = 0.1 * (high - low).max()
    colour = _hue(number)
    cv2.rectangle(
        canvas, _fixed(low - margin), _fixed(high + margin), colour, 1, cv2.LINE_AA, _SHIFT
    )
    corner = (int(low[0] - margin), int(low[1] - margin) - 4)
    scale = max(0.4, canvas.shape[0] / 1800)
    cv2.putText(
        canvas, f"{score:.2f}", corner, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA
    )


def _fixed(xy: Float32) -> tuple[int, int]:
    """Pixel coordinates in OpenCV's fixed point."""
    x, y = xy[:2].astype(np.float64) * 2**_SHIFT
    return round(float(x)), round(float(y))


def _link_colour(style: DrawStyle, k: int, number: int) -> Colour:
    if style.colours == "plain":
        return _GREEN
    return _hue(number) if style.colours == "people" else _hue(k)


def _point_colour(style: DrawStyle, number: int) -> Colour:
    if style.colours == "plain":
        return _GREEN
    return (255, 255, 255) if style.colours == "limbs" else _hue(number)


@lru_cache(maxsize=1024)
def _hue(position: int) -> Colour:
    """Bright colours; golden-ratio steps keep neighbours apart."""
    r, g, b = colorsys.hsv_to_rgb((position * 0.618034) % 1.0, 0.85, 1.0)
    return round(b * 255), round(g * 255), round(r * 255)
