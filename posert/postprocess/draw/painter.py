"""People on pictures, one source at a time."""

from __future__ import annotations

import numpy as np

from posert.postprocess.draw.background import people_only
from posert.postprocess.draw.faces import FaceBlur
from posert.postprocess.draw.labels import draw_boxes, draw_labels, draw_names
from posert.postprocess.draw.shrink import Size, moved, shrunk, size_within
from posert.postprocess.draw.skeleton import draw_skeletons
from posert.postprocess.draw.style import DrawStyle
from posert.postprocess.draw.text import Places
from posert.postprocess.draw.trails import Trails
from posert.postprocess.topology import Topology
from posert.types import Image, People


class Painter:
    """Draws the frames of one source in order: it remembers trails, and heads just lost."""

    def __init__(self, topology: Topology, style: DrawStyle, room: Size | None = None) -> None:
        """A painter that has seen nothing yet.

        Args:
            topology: of the people.
            style: how they are drawn.
            room: width and height, pixels, that its pictures have; larger ones are made smaller
                before words and lines are drawn, which are of a size to be read there.

        Raises:
            ConfigError: faces shall be blurred and no keypoint tells where they are.
        """
        self._topology = topology
        self._style = style
        self._room = room
        self._faces = FaceBlur(topology) if style.blur_faces else None
        self._trails = Trails(topology, style.trails_s) if style.trails_s else None

    def draw(self, image: Image, people: People, time_s: float = 0.0) -> Image:
        """``image`` (H, W, 3) uint8 BGR with ``people`` (source pixels) drawn, as a new array.

        It is as large as ``image``, or smaller where there is less ``room``.

        Args:
            image: it is left as it is.
            people: keypoints that are NaN, and links to them, are not drawn.
            time_s: seconds, of the source's clock; used for trails and lost heads.
        """
        style = self._style
        size = size_within(image, self._room or image.shape[1::-1])
        canvas, people = self._ground(image, people, time_s, size)
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

    def _ground(
        self, image: Image, people: People, time_s: float, size: tuple[int, int]
    ) -> tuple[Image, People]:
        """What is drawn on, of ``size``, and ``people`` there.

        Faces are gone before anything else is done with the picture.
        """
        within = people if size == image.shape[1::-1] else moved(people, image, size)
        if self._style.background == "black":
            return np.zeros((size[1], size[0], 3), np.uint8), within
        if self._faces is not None:
            image = np.array(image, order="C")
            self._faces.blur(image, people, time_s)
        is_ours = self._faces is not None and within is people
        canvas = image if is_ours else shrunk(image, size)
        if self._style.background == "people":
            canvas = people_only(canvas, within, self._topology)
        return canvas, within


def draw_people(image: Image, people: People, topology: Topology, style: DrawStyle) -> Image:
    """One picture (H, W, 3) uint8 BGR with ``people`` (source pixels) drawn on it, as a new array.

    Raises:
        ConfigError: faces shall be blurred and no keypoint tells where they are.
    """
    return Painter(topology, style).draw(image, people)
