"""The drawn frames of one source into its files, in threads beside the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from posert.errors import PosertError
from posert.runtime.flow import ordered_map, put
from posert.runtime.timing import StageTimes
from posert.types import Frame, Image, People

Draw = Callable[[Image, People], Image]  # a new picture; its input is left as it is
WriteImage = Callable[[Image, Frame], None]

_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop
_DEPTH: Final = 4  # frames that wait to be drawn, and that wait to be written


class Outlet:
    """Draws and writes what ``put`` is given, in order; a frame is done when it is written."""

    def __init__(
        self,
        draw: Draw,
        writers: list[WriteImage],
        close: Callable[[], None],
        done: Callable[[Frame, People], None],
        times: StageTimes,
    ) -> None:
        """``close`` completes the files; ``done`` is called after each frame that is written."""
        self._draw = draw
        self._writers = writers
        self._close = close
        self._done = done
        self._times = times
        self._given: queue.Queue[tuple[Frame, People] | None] = queue.Queue(_DEPTH)
        self._closed = threading.Event()
        self.error: PosertError | None = None  # what ended it early
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, people: People) -> bool:
        """Hands a frame over, when there is room; False when writing has failed."""
        return put(self._given, (frame, people), self._closed)

    def end(self) -> None:
        """No further frame comes; what was given is completed."""
        put(self._given, None, self._closed)

    def join(self) -> None:
        """Waits until the files are complete."""
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            try:
                self._write_all()
            finally:
                self._close()
        except PosertError as e:
            self.error = self.error or e
        except BaseException as e:  # noqa: BLE001  it is raised again where the outlet is joined
            self._fault = e

    def _write_all(self) -> None:
        drawn = ordered_map(self._drawn, self._taken(), workers=1, depth=_DEPTH, name="draw")
        try:
            for frame, people, image in drawn:
                with self._times.measure("encode"):
                    for write in self._writers:
                        write(image, frame)
                self._done(frame, people)
        finally:
            self._closed.set()  # or ``_taken`` would wait for more
            drawn.close()

    def _taken(self) -> Iterator[tuple[Frame, People]]:
        while not self._closed.is_set():
            try:
                given = self._given.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if given is None:
                return
            yield given

    def _drawn(self, given: tuple[Frame, People]) -> tuple[Frame, People, Image]:
        frame, people = given
        with self._times.measure("draw"):
            return frame, people, self._draw(frame.image, people)
