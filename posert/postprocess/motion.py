"""What is remembered of the people being followed: an array a property, a row a person."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from posert.types import Float32, Float64, Int64, Rows

_KEEPS_GOING_S: Final = 1.5  # of one out of sight: at most this long as fast as when last seen
_SPEED_S: Final = 0.7  # seconds over which a speed is averaged
_SIZE_S: Final = 1.0  # in which the size of one who is partly hidden shrinks to a third
_REMEMBERED_S: Final = 0.5  # how long a keypoint that is not found is carried along


@dataclass(slots=True, eq=False)
class Tracks:
    """T people being followed."""

    ids: Int64  # (T,) 0: not sure yet
    hits: Int64  # (T,) frames in which they were found
    seen_s: Float64  # (T,) when last
    xy: Float32  # (T, C, 2) where then, source pixels; NaN where not known
    found_s: Float64  # (T, C) when each keypoint was last found itself
    velocity: Float32  # (T, 2) pixels a second
    area: Float32  # (T,) px^2

    @classmethod
    def none(cls, keypoints: int) -> Tracks:
        """Nobody, of ``keypoints`` keypoints."""
        empty = np.empty(0)
        return cls.first(np.empty((0, keypoints, 2), np.float32), empty.astype(np.float32), 0.0)

    @classmethod
    def first(cls, xy: Float32, area: Float32, now: float) -> Tracks:
        """People (P, C, 2) of (P,) px^2 who are seen for the first time."""
        count = len(xy)
        return cls(
            np.zeros(count, np.int64),
            np.ones(count, np.int64),
            np.full(count, now),
            xy,
            np.where(np.isfinite(xy[:, :, 0]), now, -np.inf),
            np.zeros((count, 2), np.float32),
            area,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Forget all but ``which`` (T,)."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[which])

    def add(self, more: Tracks) -> None:
        """Follow ``more`` too."""
        for field in fields(self):
            both = (getattr(self, field.name), getattr(more, field.name))
            setattr(self, field.name, np.concatenate(both))

    def predicted(self, now: float) -> Float32:
        """(T, C, 2) where they should be: on as before, but slowing down while out of sight."""
        lasts = _KEEPS_GOING_S * -np.expm1((self.seen_s - now) / _KEEPS_GOING_S)
        shift = self.velocity * lasts.astype(np.float32)[:, None]
        return np.asarray(self.xy + shift[:, None, :])

    def found(
        self, rows: Rows, xy: Float32, area: Float32, near: Float32, sure: Float32, now: float
    ) -> None:
        """The people of ``rows`` (R,) are at ``xy`` (R, C, 2) now, seen as large as ``area``.

        Args:
            rows: Whom this is about.
            xy: Source pixels, NaN where not found. That moves with the rest, for a while.
            area: (R,) px^2.
            near: (R, C) 0..1, how near each keypoint is to where it was expected. The others say
                little about how the person moved: they may be someone else's.
            sure: (R,) 0..1. Of those who may be somebody else the less is learned the less sure
                it is; they go on as before.
            now: Seconds.
        """
        old, passed = self.xy[rows], now - self.seen_s[rows]
        moved = np.where(near[:, :, None] > 0, xy - old, np.float32(0))
        moved *= near[:, :, None]
        agreeing = near.sum(axis=1)
        mean = moved.sum(axis=1) / np.maximum(agreeing, np.float32(0.1))[:, None]
        self._accelerate(rows, mean, np.where(agreeing < 0.5, np.float32(0), sure), passed)

        gone = self.velocity[rows] * passed.astype(np.float32)[:, None]
        expected = old + gone[:, None, :]
        here = np.isfinite(xy[:, :, 0])
        found_s = np.where(here, now, self.found_s[rows])
        expected[found_s < now - _REMEMBERED_S] = np.nan
        seen = np.where(np.isnan(expected), xy, expected + sure[:, None, None] * (xy - expected))
        self.xy[rows] = np.where(here[:, :, None], seen, expected)
        self.found_s[rows] = found_s
        shrunk = self.area[rows] * np.exp(-passed / _SIZE_S).astype(np.float32)
        self.area[rows] = np.maximum(area, shrunk)
        self.seen_s[rows] = now
        self.hits[rows] += 1

    def _accelerate(self, rows: Rows, mean: Float32, sure: Float32, passed: Float64) -> None:
        """New speeds of ``rows`` from how far (R, 2) they came in ``passed`` (R,) seconds."""
        weight = np.maximum(-np.expm1(-passed / _SPEED_S), 1 / self.hits[rows]) * sure
        weight[passed <= 0] = 0  # nothing to tell a speed by
        speed = mean / np.maximum(passed, 1e-6).astype(np.float32)[:, None]
        before = self.velocity[rows]
        self.velocity[rows] = before + weight.astype(np.float32)[:, None] * (speed - before)
