"""An engine that plays what was recorded: for tests, and for parsing a network once more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from posert.errors import EngineError
from posert.manifest import Form
from posert.types import Images, PoseMaps, PoseOutput


class ReplayEngine:
    """Returns ``recorded`` one after the other, whatever the pictures show, then starts over."""

    name = "replay"
    batch = 1
    workers = 1  # the order of calls is the order of the recording

    def __init__(self, recorded: Sequence[PoseOutput]) -> None:
        if not recorded:
            raise EngineError("replay: nothing recorded", expected="at least one picture")
        self._recorded = tuple(recorded)
        self.form: Form = "maps" if isinstance(recorded[0], PoseMaps) else "compact"
        self._calls = count()

    def infer(self, frames: Images) -> list[PoseOutput]:
        return [self._recorded[next(self._calls) % len(self._recorded)] for _ in frames]
