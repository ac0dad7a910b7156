"""What is to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posert.bench.results import Kind
from posert.errors import ConfigError

_MOST_ALONE: Final = 2000
_LEAST_EACH: Final = 30  # frames of a stream: opening and closing it would count for too much


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often and how long.

    Raises:
        ConfigError: a number is out of its range.
    """

    frames: int = 300  # of a round, shared by the streams; of live ones each has so many
    rounds: int = 3
    batches: tuple[int, ...] = (1, 4, 16)  # pictures a call of the engine
    streams: tuple[int, ...] | None = None  # None: 1; of live sources 1, 2, 4 ... until it is full
    kinds: tuple[Kind, ...] = ("files",)
    data_only: bool = False  # JSON lines in place of a video
    rate: float = 30.0  # frames a second of a live source

    def __post_init__(self) -> None:
        if self.frames < 1 or self.rounds < 1:
            raise ConfigError("bench", got=f"{self.frames} frames, {self.rounds} rounds",
                              expected="1 or more")  # fmt: skip
        for name, counts in (("batches", self.batches), ("streams", self.streams or (1,))):
            if not counts or min(counts) < 1:
                got = ",".join(map(str, counts)) or "none"
                raise ConfigError(f"bench: {name}", got=got, expected="1 or more, as 1,4,16")
        if not 0 < self.rate <= 1000:
            raise ConfigError("bench: rate", got=self.rate, expected="frames a second, up to 1000")

    @property
    def alone(self) -> int:
        """Frames of a stage alone: enough for its percentiles, however long the runs are."""
        return min(self.frames, _MOST_ALONE)

    def each(self, kind: Kind, streams: int) -> int:
        """Frames of each of so many streams."""
        if kind == "live":
            return self.frames
        return max(self.frames // streams, min(_LEAST_EACH, self.frames))
