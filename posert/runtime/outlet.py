"""The drawn frames of one source into its files, in threads beside the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from posert.errors import OutputError, PosertError
from posert.runtime.flow import ordered_map
from posert.runtime.timing import StageTimes
from posert.types import Frame, Image, People

# the people and seconds of a frame; a new picture: its input is left as it is
Draw = Callable[[Image, People, float], Image]
WriteImage = Callable[[Image, Frame], None]
Show = Callable[[Image, Frame, float], None]  # the last: seconds since the frame came

Given: TypeAlias = tuple[Frame, People, float]  # the last: time.monotonic() when the frame came

_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop
_HANGS_S: Final = 10.0  # without a frame or an end: the file, or who receives it, hangs
_DEPTH: Final = 4  # drawn frames that wait to be written


class Outlet:
    """Draws and writes what ``put`` is given, in order; nobody waits for it but ``join``."""

    def __init__(
        self,
        draw: Draw,
        writers: list[WriteImage],
        close: Callable[[], None],
        times: StageTimes,
        *,
        show: Show | None = None,
        done: Callable[[Frame, People], None],
        failed: Callable[[], None],
        ended: Callable[[PosertError | None], None] = lambda error: None,
    ) -> None:
        """Starts its threads.

        Args:
            draw: makes the picture of a frame.
            writers: take the pictures.
            close: completes the files.
            times: of drawing and encoding.
            show: takes the pictures too, and how old they are: a wall.
            done: called after each frame that is written.
            failed: called when no further frame can be written.
            ended: called when the files are complete, with what ended them early.
        """
        self._draw = draw
        self._writers = writers
        self._close = close
        self._times = times
        self._show = show
        self._done = done
        self._failed = failed
        self._ended = ended
        self._given: queue.SimpleQueue[Given | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._moved = threading.Event()  # something was done
        self.error: PosertError | None = None  # what ended it early
        self.fault: BaseException | None = None  # the same, where the fault is ours
        self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, people: People, came_s: float) -> None:
        """Hands over a frame that came then; nothing is done with it once writing has failed."""
        if not self._closed.is_set():
            self._given.put((frame, people, came_s))

    def end(self) -> None:
        """No further frame comes; what was given is completed."""
        self._given.put(None)

    def join(self) -> None:
        """Waits until the files are complete, or until nothing moves any more."""
        while self._thread.is_alive():
            self._moved.clear()
            self._thread.join(_POLL_S)
            if self._thread.is_alive() and not self._moved.wait(_HANGS_S):
                self.error = OutputError(
                    f"an output took nothing for {_HANGS_S:.0f} s and was left",
                    fix="check its disk or receiver",
                )
                return

    def _run(self) -> None:
        try:
            try:
                self._write_all()
            finally:
                self._close()
        except PosertError as e:
            self.error = self.error or e
        except BaseException as e:  # noqa: BLE001  it is raised again where the outlet is joined
            self.fault = e
        finally:
            self._moved.set()
            self._ended(self.error)

    def _write_all(self) -> None:
        drawn = ordered_map(self._drawn, self._taken(), workers=1, depth=_DEPTH, name="draw")
        try:
            for (frame, people, came_s), image in drawn:
                if self._writers:
                    with self._times.measure("encode"):
                        for write in self._writers:
                            write(image, frame)
                if self._show is not None:
                    self._show(image, frame, time.monotonic() - came_s)
                self._moved.set()
                self._done(frame, people)
        except BaseException:
            self._failed()
            raise
        finally:
            self._closed.set()  # or ``_taken`` would wait for more
            drawn.close()

    def _taken(self) -> Iterator[Given]:
        while not self._closed.is_set():
            try:
                given = self._given.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if given is None:
                return
            yield given

    def _drawn(self, given: Given) -> tuple[Given, Image]:
        frame, people, _ = given
        with self._times.measure("draw"):
            return given, self._draw(frame.image, people, frame.time_s)
