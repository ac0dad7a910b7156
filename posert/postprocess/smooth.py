"""Keypoints without jitter: a One-Euro filter for each keypoint of each person with an id.

Source: Casiez, Roussel, Vogel, "1 EUR filter: a simple speed-based low-pass filter for noisy input
in interactive systems", CHI 2012. Two things are added: the less certain a keypoint is the lower
its cutoff, and speed counts in sizes of the person, so that settings suit every resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from posert.postprocess.similarity import areas
from posert.types import Float32, Float64, Int64, People, Rows

_CERTAIN: Final = 0.5  # a keypoint's score from which nothing is taken off its cutoff


@dataclass(frozen=True, slots=True)
class SmoothSettings:
    """How much is smoothed: lower cutoffs take more jitter and add more delay."""

    min_cutoff: float = 2.0  # Hz, of a keypoint at rest
    beta: float = 8.0  # Hz more for each size of the person that it moves in a second
    d_cutoff: float = 1.0  # Hz, of the speed itself
    gap_s: float = 0.5  # a keypoint not found for longer starts anew

    def __post_init__(self) -> None:
        for name, value, fits, expected in (
            ("min_cutoff", self.min_cutoff, 0 < self.min_cutoff < np.inf, "more than 0 Hz"),
            ("beta", self.beta, 0 <= self.beta < np.inf, "0 or more"),
            ("d_cutoff", self.d_cutoff, 0 < self.d_cutoff < np.inf, "more than 0 Hz"),
            ("gap_s", self.gap_s, 0 < self.gap_s < np.inf, "more than 0 seconds"),
        ):
            if not fits:
                raise ValueError(f"{name} is {value}: expected {expected}")


class Smoother:
    """Smooths the people of one source; one for each source, frames in order."""

    def __init__(self, settings: SmoothSettings | None = None) -> None:
        self.settings = settings or SmoothSettings()
        self._forget_all(0)

    def _forget_all(self, keypoints: int) -> None:
        self._time_s = -np.inf
        self._ids: Int64 = np.empty(0, np.int64)  # (T,) ascending
        self._found_s: Float64 = np.empty((0, keypoints))  # (T, C) when last found
        self._xy: Float32 = np.empty((0, keypoints, 2), np.float32)  # (T, C, 2) smoothed
        self._speed: Float32 = np.empty((0, keypoints, 2), np.float32)  # (T, C, 2) px/s

    def update(self, people: People, time_s: float) -> People:
        """The same people with smoothed x and y; scores and what was not found stay as they are.

        Args:
            people: Of the next frame, keypoints (P, C, 3) in source pixels, with ids; those of
                id 0 stay as they are, and so do all where there are no ids.
            time_s: Of that frame, in seconds. If it is less than that of the frame before,
                everyone starts anew.
        """
        if people.ids is None:
            return people
        if time_s < self._time_s or self._xy.shape[1] != people.keypoints.shape[1]:
            self._forget_all(people.keypoints.shape[1])
        self._time_s = time_s
        self._forget(time_s)
        known = np.flatnonzero(people.ids)
        if not len(known):
            return people
        keypoints = people.keypoints.copy()
        rows = self._rows(people.ids[known])
        keypoints[known, :, :2] = self._smoothed(rows, keypoints[known], time_s)
        return People(keypoints, people.scores, people.capped, people.ids)

    def _forget(self, now: float) -> None:
        """Those of whom every keypoint would start anew."""
        kept = self._found_s.max(axis=1, initial=-np.inf) >= now - self.settings.gap_s
        if not kept.all():
            self._ids, self._found_s = self._ids[kept], self._found_s[kept]
            self._xy, self._speed = self._xy[kept], self._speed[kept]

    def _rows(self, ids: Int64) -> Rows:
        """Where the state of each of ``ids`` is, made for those who are new."""
        rows = np.searchsorted(self._ids, ids)
        ended = np.append(self._ids, 0)
        new = np.sort(ids[ended[rows] != ids])
        if len(new):
            where = np.searchsorted(self._ids, new)
            self._ids = np.insert(self._ids, where, new)
            self._found_s = np.insert(self._found_s, where, -np.inf, axis=0)
            self._xy = np.insert(self._xy, where, np.nan, axis=0)
            self._speed = np.insert(self._speed, where, 0, axis=0)
            rows = np.searchsorted(self._ids, ids)
        return rows

    def _smoothed(self, rows: Rows, keypoints: Float32, now: float) -> Float32:
        """(R, C, 2) the filter's x and y of ``keypoints`` (R, C, 3), which it learns."""
        settings = self.settings
        xy, score = keypoints[:, :, :2], keypoints[:, :, 2]
        found = np.isfinite(xy[:, :, 0])
        before, passed = self._xy[rows], (now - self._found_s[rows]).astype(np.float32)
        goes_on = found & (passed <= settings.gap_s)
        passed = np.minimum(passed, np.float32(settings.gap_s))  # -inf: never found yet
        step = np.where(goes_on[:, :, None], xy - before, np.float32(0))
        rate = 1 / np.maximum(passed, np.float32(1e-6))

        speed = self._speed[rows]
        speed += _share(settings.d_cutoff, passed)[:, :, None] * (step * rate[:, :, None] - speed)
        size = np.sqrt(areas(xy))[:, None]
        sizes_per_s = np.sqrt(np.einsum("rci,rci->rc", speed, speed)) / size
        cutoff = settings.min_cutoff + settings.beta * sizes_per_s
        cutoff *= np.clip(score / _CERTAIN, 0.1, 1)
        smooth = xy - (1 - _share(cutoff, passed))[:, :, None] * step

        speed[found & ~goes_on] = 0
        self._speed[rows] = np.where(found[:, :, None], speed, self._speed[rows])
        self._xy[rows] = np.where(found[:, :, None], smooth, before)
        self._found_s[rows] = np.where(found, now, self._found_s[rows])
        return smooth


def _share(cutoff: float | Float32, passed: Float32) -> Float32:
    """How much of a new value a low-pass filter takes: alpha of the paper; 0..1."""
    turns = np.float32(2 * np.pi) * cutoff * passed
    return np.asarray(turns / (1 + turns), np.float32)
