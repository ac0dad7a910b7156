"""A wall: the drawn frames of all sources as tiles of one video."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from posert.errors import PosertError, first_line
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.wall.face import Face, paint
from posert.runtime.wall.grid import grid
from posert.runtime.wall.ticks import ClockTicks, MediaTicks, Ticks
from posert.runtime.wall.tile import Exchange, Tile
from posert.types import Frame, Image, SourceInfo

log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_COUNTED_S: Final = 0.5  # of the wall's time: numbers that change with each frame are not read


class Wall:
    """Composes and writes a video of all sources in a thread of its own.

    Of files it is made by their own time: no frame of the wall is left out, and a source that is
    ahead waits in ``Tile.show``. With a live source among them it is made on the clock, of the
    newest frame each.
    """

    def __init__(
        self,
        open_video: Callable[[SourceInfo], ImageWriter],
        names: Sequence[str],
        size: tuple[int, int],
        *,
        live: bool,
    ) -> None:
        """``open_video`` is called with the first frame; ``size`` is width and height, pixels."""
        self.skipped = 0  # frames that a live wall left out because writing took too long
        self.frames = 0  # written
        self.paths: list[Path] = []  # that a frame was written to, or the address
        self._open_video = open_video
        self._size = size
        self._live = live
        self._boxes = grid(len(names), *size)
        self._exchange = Exchange()
        self._tiles = [
            Tile(name, box.picture, self._exchange, waits=not live)
            for name, box in zip(names, self._boxes, strict=True)
        ]
        self._painted: list[Face | None] = [None] * len(names)
        self._canvas: Image = np.zeros((size[1], size[0], 3), np.uint8)
        self._counted = 0  # the tick at which numbers were counted
        self._video: ImageWriter | None = None
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wall", daemon=True)
        self._thread.start()

    @property
    def error(self) -> PosertError | None:
        """Why it ended early; what came before is kept."""
        return self._exchange.error

    def tile(self, number: int) -> Tile:
        """The place of source ``number``, in the order of the names."""
        return self._tiles[number]

    def close(self) -> None:
        """Ends all tiles, shows what waits and completes the file; safe to call twice.

        What keeps the file from being written is in ``error``; a fault of ours is raised.
        """
        for tile in self._tiles:
            tile.end()
        while self._thread.is_alive():
            self._thread.join(_POLL_S)
            with self._exchange.lock:
                if self._exchange.is_over() and self._exchange.hung:
                    break
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def _run(self) -> None:
        try:
            try:
                self._write_all()
            finally:
                self._complete()
        except PosertError as e:
            with self._exchange.lock:
                self._exchange.fail(e)
        except BaseException as e:  # noqa: BLE001  it is raised again where the wall is closed
            log.error("the wall ends here, by a fault of PoseRT: %s", first_line(e))
            self._fault = e
        finally:
            with self._exchange.lock:
                self._exchange.over = True
                self._exchange.writing_since = None
                for tile in self._tiles:
                    tile.wake()

    def _write_all(self) -> None:
        kind = ClockTicks if self._live else MediaTicks
        ticks: Ticks = kind(self._tiles, self._exchange)
        while True:
            with self._exchange.lock:
                self._exchange.writing_since = None
                tick = ticks.next()
                if tick is None:
                    return
                faces = self._faces(tick, ticks.rate)
                self._exchange.writing_since = time.monotonic()
            self.skipped = ticks.skipped
            self._paint(faces)
            self._write(tick, ticks.rate)

    def _faces(self, tick: int, rate: Fraction) -> list[Face]:
        count = tick - self._counted >= _COUNTED_S * rate
        if count:
            self._counted = tick
        return [tile.face(count=count) for tile in self._tiles]

    def _paint(self, faces: list[Face]) -> None:
        """Paints what has changed."""
        for number, (face, box) in enumerate(zip(faces, self._boxes, strict=True)):
            if not face.same(self._painted[number]):
                part = self._canvas[box.y : box.y + box.height, box.x : box.x + box.width]
                paint(part, box.bar, face)
                self._painted[number] = face

    def _write(self, tick: int, rate: Fraction) -> None:
        if self._video is None:
            width, height = self._size
            self._video = self._open_video(
                SourceInfo("wall", width, height, rate, 1 / rate, live=self._live)
            )
        picture = self._canvas.copy()  # the canvas is painted over
        self._video.write(picture, Frame(picture, tick, tick, float(tick / rate)))
        self.frames += 1
        self.paths = [*self._video.paths]

    def _complete(self) -> None:
        with self._exchange.lock:
            self._exchange.writing_since = time.monotonic()
        if self._video is not None:
            self._video.close()
