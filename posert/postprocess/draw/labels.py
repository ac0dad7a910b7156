"""Boxes, ids, scores and names of keypoints."""

from __future__ import annotations

import cv2
import numpy as np

from posert.postprocess.draw.colours import WHITE, bright, person_colour
from posert.postprocess.draw.points import SHIFT, found_in
from posert.postprocess.draw.skeleton import line_width
from posert.postprocess.draw.style import DrawStyle
from posert.postprocess.draw.text import Lettering, Places
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

_SMALL = 0.6  # of the letters of an id: those of a keypoint's name
_MARGIN = 0.1  # of a person's extent: from the outermost keypoints to the box


def draw_boxes(canvas: Image, people: People) -> None:
    """A box around all keypoints of each person."""
    stroke = max(1, round(min(canvas.shape[:2]) / 720))
    for number, keypoints in enumerate(people.keypoints):
        found = keypoints[found_in(keypoints)]
        if len(found):
            low, high = _box(found)
            (x0, y0), (x1, y1) = np.rint(np.stack([low, high]) * 2**SHIFT).astype(int).tolist()
            colour = person_colour(people, number)
            cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, stroke, cv2.LINE_8, SHIFT)


def draw_names(
    canvas: Image, people: People, topology: Topology, style: DrawStyle, places: Places
) -> None:
    """The name beside each keypoint found, where ``places`` has room: no word hides another."""
    letters = Lettering.of(canvas, _SMALL)
    names = [name.replace("_", " ") for name in topology.keypoints]
    for keypoints in people.keypoints:
        found = found_in(keypoints)
        if not found.any():
            continue
        gap = 2 + 1.5 * line_width(keypoints[found], canvas, style)
        for name, (x, y), there in zip(names, keypoints[:, :2].tolist(), found, strict=True):
            if there:
                _write_beside(canvas, letters, places, name, x, y, gap)


def draw_labels(canvas: Image, people: People, style: DrawStyle, places: Places) -> None:
    """Above each person the id, once there is one, and beside a box the score."""
    letters = Lettering.of(canvas)
    for number, keypoints in enumerate(people.keypoints):
        found = keypoints[found_in(keypoints)]
        text = " ".join(_words(people, number, style))
        if not len(found) or not text:
            continue
        low, high = _box(found)
        width, height = letters.size(text)
        left = low[0] if style.boxes else (low[0] + high[0] - width) / 2
        colour = bright(person_colour(people, number))
        top = low[1] - height - 2
        places.take(letters.place(canvas, text, left, top))
        letters.write(canvas, text, left, top, colour)


def _words(people: People, number: int, style: DrawStyle) -> list[str]:
    words = []
    if style.ids and people.ids is not None and people.ids[number] > 0:
        words.append(str(people.ids[number]))
    if style.boxes:
        words.append(f"{people.scores[number]:.2f}")
    return words


def _write_beside(
    canvas: Image, letters: Lettering, places: Places, name: str, x: float, y: float, gap: float
) -> None:
    """On the first free side of the keypoint: right, left, below, above; on none if none is.

    A side where the name would hang over the border comes last: it is moved onto the keypoint.
    """
    width, height = letters.size(name)
    sides = (
        (x + gap, y - height / 2),
        (x - gap - width, y - height / 2),
        (x - width / 2, y + gap),
        (x - width / 2, y - gap - height),
    )

    def moved(side: tuple[float, float]) -> bool:
        left, top, *_ = letters.place(canvas, name, *side)
        return (left, top) != (round(side[0]), round(side[1]))

    for side in sorted(sides, key=moved):
        if places.take_if_free(letters.place(canvas, name, *side)):
            letters.write(canvas, name, *side, WHITE)
            return


def _box(found: Float32) -> tuple[Float32, Float32]:
    """The corners of a person's box, pixels."""
    low, high = found[:, :2].min(axis=0), found[:, :2].max(axis=0)
    margin = _MARGIN * (high - low).max()
    return low - margin, high + margin
