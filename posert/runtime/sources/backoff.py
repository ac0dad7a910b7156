"""How long to wait before a lost stream is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 0.25
MOST_S = 1.0  # a stream that is back is found within a second; a dead one costs one try a second


class Backoff:
    """Waits of about 0.25, 0.5, 1, 1, ... s, each up to a quarter shorter by chance.

    Chance keeps the readers of many cameras behind one switch from coming back all at once.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._next_s = FIRST_S

    def wait_s(self) -> float:
        """The wait before the next try, seconds."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, MOST_S)
        return wait_s * (1 - self._chance() / 4)

    def reset(self) -> None:
        """The last try was a success."""
        self._next_s = FIRST_S
