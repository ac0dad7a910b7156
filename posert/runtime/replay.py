"""An engine that plays recorded maps: for tests, and for parsing once-recorded networks again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from posert.errors import EngineError
from posert.types import Float32, PoseMaps


class ReplayEngine:
    """Returns ``recorded`` one after the other, whatever the pictures show, then starts over."""

    name = "replay"
    workers = 1  # the order of calls is the order of the recording

    def __init__(self, recorded: Sequence[PoseMaps]) -> None:
        if not recorded:
            raise EngineError("replay: nothing recorded", expected="at least one PoseMaps")
        self._recorded = tuple(recorded)
        self._calls = count()

    def infer(self, batch: Float32) -> list[PoseMaps]:
        return [self._recorded[next(self._calls) % len(self._recorded)] for _ in batch]
