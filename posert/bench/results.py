"""What was measured, as values and as a JSON file of a versioned schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast

import numpy as np

from posert.bench.environment import Machine
from posert.config import build, read_mapping
from posert.errors import InputError
from posert.model_card import STRICT, InputSize

T = TypeVar("T")

Kind: TypeAlias = Literal["files", "predecoded", "live"]

SCHEMA: Final = 2  # 1 had no number
_MAGIC: Final = "posert bench"
_ONE_THREAD: Final = ("parse", "track", "smooth", "draw")  # stages that compute in one


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something takes, milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread | None:
        """Of so many times; None where there is none."""
        if not len(seconds):
            return None
        return cls(*(float(ms) for ms in np.percentile(seconds, [50, 95, 99]) * 1e3))


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage alone."""

    stage: str
    batch: int  # frames a call
    threads: int  # that worked at once for ``frames_per_second``; the rest is of one
    cpu_ms: float  # a frame, CPU time of all threads
    ms: Spread  # a frame, on the clock
    frames_per_second: float


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU during a run, as its driver tells; other users of it count too."""

    name: str
    memory_mb: float  # most in use
    busy: float  # share of the time in which a kernel ran
    decoder_busy: float  # of NVDEC


@dataclass(frozen=True, slots=True)
class RunCost:
    """A whole run from opened sources to closed files."""

    kind: Kind
    streams: int
    frames: int  # delivered, of all streams
    frames_per_second: float
    steady_fps: float  # of the middle eight tenths: without start and end
    ideal_fps: float  # of the same round
    ratio: float  # of frames/s to the ideal, or to what live sources offer if that is less
    offered_fps: float | None  # of live sources
    dropped: int  # frames of live sources that came too fast
    interval: Spread | None  # ms from a delivered frame to the next, whosoever; None: not told
    latency: Spread | None  # ms from a frame's arrival to its data; None: unknown
    cpu_ms: float  # a frame, of all together; beside the stages' sum it tells what is lost
    cores_used: float  # CPU seconds a second
    engine_busy: float  # steady frames/s over the engine's alone
    peak_memory_mb: float  # resident, of all processes of the run
    gpus: tuple[GpuUse, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.streams} stream{'s' * (self.streams > 1)}"

    @property
    def channels(self) -> float:
        """At 30 frames/s."""
        return self.frames_per_second / 30


@dataclass(frozen=True)
class Bench:
    """Medians over the rounds."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    clip: str  # its file's name
    size: tuple[int, int]  # width, height
    frames: int  # of a round
    rounds: int
    model: str
    engine: str
    input_size: InputSize
    cores: int
    processes: int | None  # None: as many as seem best
    at_once: int | None  # files; None: as many as seem best
    stages: tuple[StageCost, ...]
    runs: tuple[RunCost, ...]
    environment: Machine
    format: Literal["posert bench"] = _MAGIC
    schema: int = SCHEMA

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file; numbers to four digits."""
        return cast("dict[str, Any]", _rounded(asdict(self)))

    @property
    def undisturbed(self) -> float:
        """The share of a core that one busy thread got: less than 1 where others wanted it too."""
        alone = [cost for cost in self.stages if cost.stage in _ONE_THREAD]
        clock_ms = sum(1e3 / cost.frames_per_second for cost in alone)
        return min(1.0, sum(cost.cpu_ms for cost in alone) / clock_ms)


def read_bench(path: Path) -> Bench:
    """A result that ``posert bench --json`` wrote.

    Raises:
        InputError: it cannot be read, is none, or is of another schema.
    """
    data = read_mapping(path, InputError)
    if data.get("format") != _MAGIC:
        raise InputError(f"{path}: is no result", expected="a file of posert bench --json")
    if data.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: schema", got=data.get("schema"), expected=SCHEMA,
            fix="measure it again with this posert",
        )  # fmt: skip
    return build(Bench, data, str(path), InputError)


def rounds_told(rounds: int) -> str:
    """What the figures are: those of one round, or medians of several."""
    return f"medians of {rounds} rounds" if rounds > 1 else "1 round"


def median_of(same: Sequence[T]) -> T:
    """The median of each number of the same thing in several rounds; the rest is the first's."""
    first = same[0]
    if is_dataclass(first) and not isinstance(first, type):
        values = {f.name: median_of([getattr(s, f.name) for s in same]) for f in fields(first)}
        return cast("T", type(first)(**values))
    if isinstance(first, tuple):
        return cast("T", tuple(median_of(members) for members in zip(*same, strict=False)))
    if isinstance(first, float):
        return cast("T", float(np.median(cast("list[float]", same))))
    if type(first) is int:
        return cast("T", round(float(np.median(cast("list[int]", same)))))
    return first


def _rounded(value: Any) -> Any:
    """Floats to four digits: more are noise, and a file of them cannot be read."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
