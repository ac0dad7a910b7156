"""People on pictures, one source at a time."""

from __future__ import annotations

import numpy as np

from posert.postprocess.draw.background import people_only
from posert.postprocess.draw.faces import FaceBlur
from posert.postprocess.draw.labels import draw_boxes, draw_labels, draw_names
from posert.postprocess.draw.skeleton import draw_skeletons
from posert.postprocess.draw.style import DrawStyle
from posert.postprocess.draw.text import Places
from posert.postprocess.draw.trails import Trails
from posert.postprocess.topology import Topology
from posert.types import Image, People


class Painter:
    """Draws the frames of one source in order: it remembers trails, and heads just lost."""

    def __init__(self, topology: Topology, style: DrawStyle) -> None:
        """A painter that has seen nothing yet.

        Raises:
            ConfigError: faces shall be blurred and no keypoint tells where they are.
        """
        self._topology = topology
        self._style = style
        self._faces = FaceBlur(topology) if style.blur_faces else None
        self._trails = Trails(topology, style.trails_s) if style.trails_s else None

    def draw(self, image: Image, people: People, time_s: float = 0.0) -> Image:
        """``image`` (H, W, 3) uint8 BGR with ``people`` (source pixels) drawn, as a new array.

        Args:
            image: it is left as it is.
            people: keypoints that are NaN, and links to them, are not drawn.
            time_s: seconds, of the source's clock; used for trails and lost heads.
        """
        style = self._style
        canvas = self._ground(image, people, time_s)
        if self._trails is not None:
            self._trails.add(people, time_s, canvas.shape)
            self._trails.draw(canvas)
        if style.boxes:
            draw_boxes(canvas, people)
        draw_skeletons(canvas, people, self._topology, style)
        places = Places()
        if style.ids or style.boxes:
            draw_labels(canvas, people, style, places)
        if style.names:
            draw_names(canvas, people, self._topology, style, places)
        return canvas

    def _ground(self, image: Image, people: People, time_s: float) -> Image:
        """What is drawn on: faces are gone before anything else is done with the picture."""
        if self._style.background == "black":
            return np.zeros(image.shape, np.uint8)
        canvas = np.array(image, order="C")
        if self._faces is not None:
            self._faces.blur(canvas, people, time_s)
        if self._style.background == "people":
            return people_only(canvas, people, self._topology)
        return canvas


def draw_people(image: Image, people: People, topology: Topology, style: DrawStyle) -> Image:
    """One picture (H, W, 3) uint8 BGR with ``people`` (source pixels) drawn on it, as a new array.

    Raises:
        ConfigError: faces shall be blurred and no keypoint tells where they are.
    """
    return Painter(topology, style).draw(image, people)
