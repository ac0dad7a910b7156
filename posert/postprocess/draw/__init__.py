"""The overlay: people on a copy of the picture, never a line to a missing keypoint."""

from __future__ import annotations

from posert.postprocess.draw.painter import Painter, draw_people
from posert.postprocess.draw.style import DrawStyle

__all__ = ["DrawStyle", "Painter", "draw_people"]
