"""When a batch must leave, and how large it may be, so that its frames are done in time."""

from __future__ import annotations

import time
from typing import Final

_LINGER_S: Final = 0.005  # for others to fill a batch, where no deadline is given
_NEW: Final = 0.2  # weight of what the last batch took, where it was faster than before
_FORGIVEN: Final = 0.005  # of the time of larger batches, with each: one was slow, another may not


class Deadline:
    """How long live frames may wait for others, learnt from the time that batches take.

    A frame is to be done ``most_s`` seconds after it came. What is left of that when the engine's
    time is taken off may be spent on filling a batch: an engine takes many frames as fast as a few.
    """

    def __init__(self, most_s: float | None) -> None:
        self._most_s = most_s
        self._took_s: dict[int, float] = {}  # of batches, by their size's power of two
        self._begun: set[int] = set()  # sizes of which there was one: engines prepare for each

    def took(self, seconds: float, frames: int) -> None:
        """A batch of so many frames was done so long after it had left."""
        key = frames.bit_length()
        for larger in [each for each in self._took_s if each > key]:
            self._took_s[larger] *= 1 - _FORGIVEN
        if key in self._begun:
            known = self._took_s.get(key, seconds)
            self._took_s[key] = max(seconds, known + _NEW * (seconds - known))
        self._begun.add(key)

    def leave_by(self, oldest_s: float | None, interval_s: float, frames: int) -> float:
        """When (time.monotonic()) a batch leaves though it is not full.

        Args:
            oldest_s: when the live frame came that waits longest; None: no live one waits.
            interval_s: shortest time between two frames of a live source; who waits longer than
                half of that is overtaken by the next.
            frames: of a full batch.
        """
        now_s = time.monotonic()
        if self._most_s is None or oldest_s is None:
            return now_s + _LINGER_S
        done_by = oldest_s + self._most_s - self._took_s.get(frames.bit_length(), 0.0)
        return min(done_by, now_s + max(_LINGER_S, interval_s / 2))

    def _least_s(self, key: int) -> float:
        """What batches of a size take: fewer frames never take longer than more."""
        if key not in self._took_s:
            return 0.0
        return min(took_s for size, took_s in self._took_s.items() if size >= key)

    def most(self, oldest_s: float | None, most: int) -> int:
        """How many of at most ``most`` frames are done in time; all, where that is too late."""
        if self._most_s is None or oldest_s is None:
            return most
        left_s = oldest_s + self._most_s - time.monotonic()
        fitting = 0
        for key in range(1, most.bit_length() + 1):  # what was never tried may be fast enough
            if self._least_s(key) > left_s:
                break
            fitting = 2**key - 1
        return min(most, fitting) or most
