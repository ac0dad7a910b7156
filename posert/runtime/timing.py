"""How long each stage takes a frame, collected from all threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_KEPT = 10_000  # most recent frames that percentiles speak of, so that memory stays bounded


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's times over a run, milliseconds a frame."""

    stage: str
    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float


class StageTimes:
    """Collects times by stage from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: dict[str, deque[float]] = {}
        self._totals: dict[str, tuple[int, float]] = {}

    @contextmanager
    def measure(self, stage: str, frames: int = 1) -> Iterator[None]:
        """Times what is done within for so many frames at once; each takes its share."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began, frames)

    def add(self, stage: str, seconds: float, frames: int = 1) -> None:
        if not frames:
            return
        with self._lock:
            recent = self._recent.setdefault(stage, deque(maxlen=_KEPT))
            recent.extend([seconds / frames] * frames)
            count, total = self._totals.get(stage, (0, 0.0))
            self._totals[stage] = count + frames, total + seconds

    def timed(self, stage: str, items: Iterator[T]) -> Iterator[T]:
        """``items``, the time each takes to come added to ``stage``."""
        while True:
            began = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            self.add(stage, time.perf_counter() - began)
            yield item

    def join(self, other: StageTimes) -> None:
        """Adds what ``other`` has collected, in another process perhaps."""
        with self._lock:
            for stage, recent in other._recent.items():
                self._recent.setdefault(stage, deque(maxlen=_KEPT)).extend(recent)
            for stage, (count, total) in other._totals.items():
                so_far = self._totals.get(stage, (0, 0.0))
                self._totals[stage] = so_far[0] + count, so_far[1] + total

    def __getstate__(self) -> tuple[dict[str, deque[float]], dict[str, tuple[int, float]]]:
        """All but the lock: for another process."""
        with self._lock:
            return {k: v.copy() for k, v in self._recent.items()}, dict(self._totals)

    def __setstate__(
        self, state: tuple[dict[str, deque[float]], dict[str, tuple[int, float]]]
    ) -> None:
        self._lock = threading.Lock()
        self._recent, self._totals = state

    def summary(self) -> tuple[StageTime, ...]:
        """The stages in the order in which they first ended."""
        with self._lock:
            return tuple(
                StageTime(
                    stage,
                    count,
                    1e3 * total / count,
                    1e3 * float(np.percentile(self._recent[stage], 50)),
                    1e3 * float(np.percentile(self._recent[stage], 95)),
                )
                for stage, (count, total) in self._totals.items()
            )
