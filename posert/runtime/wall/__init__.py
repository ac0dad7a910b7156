"""All sources in one picture: their drawn frames side by side, each with a label, as one video."""

from posert.runtime.wall.tile import Tile
from posert.runtime.wall.wall import Wall

__all__ = ["Tile", "Wall"]
