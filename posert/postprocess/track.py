"""Who is who from frame to frame: ids by pose similarity and the best assignment of all.

Every person of a frame is held against where everyone followed should be by now (constant speed,
slowing down while out of sight), and the assignment is the one in which the most keypoints agree,
those out of sight counting a little less. One who may as well be somebody out of sight (two people
who pass each other are often found as one, made of both) goes on as before and learns little:
when they part, each is nearest to where they were going. docs/tracking.md states the rules and
what they cannot do.

Sources: SORT (Bewley et al., "Simple online and realtime tracking", ICIP 2016) for prediction,
assignment, least hits and greatest age; object keypoint similarity (COCO) in place of its boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from posert.postprocess.motion import Tracks
from posert.postprocess.similarity import areas, closeness, keypoint_sigmas, shared
from posert.postprocess.topology import Topology
from posert.types import Float32, People, Rows

_HIDDEN_COUNTS: Final = 0.85  # an agreeing keypoint of one out of sight, against one in sight
_OTHERS_COUNT: Final = 0.2  # an agreeing keypoint of one found elsewhere, against one unseen
_LEAST_SURE: Final = 0.25  # of one who may as well be somebody else: something is learned
_UNSURE_S: Final = 0.3  # seconds out of sight after which one without an id is forgotten, or
# the time between two frames if that is more


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """When two people of two frames are one."""

    min_hits: int = 3  # frames in which a person is found before they have an id
    max_age_s: float = 1.0  # out of sight for longer: a new id
    least_similarity: float = 0.1  # 0..1, to where they should be
    tolerance: float = 1.1  # times COCO's standard deviations, for one seen a moment ago
    drift_per_s: float = 0.5  # how much the tolerance grows in a second out of sight, in itself

    def __post_init__(self) -> None:
        for name, value, fits, expected in (
            ("min_hits", self.min_hits, self.min_hits >= 1, "1 or more"),
            ("max_age_s", self.max_age_s, 0 < self.max_age_s < np.inf, "more than 0 seconds"),
            ("least_similarity", self.least_similarity, 0 < self.least_similarity < 1, "0 to 1"),
            ("tolerance", self.tolerance, 0 < self.tolerance < np.inf, "more than 0"),
            ("drift_per_s", self.drift_per_s, 0 <= self.drift_per_s < np.inf, "0 or more"),
        ):
            if not fits:
                raise ValueError(f"{name} is {value}: expected {expected}")


class Tracker:
    """Gives the people of one source ids; one for each source, frames in order."""

    def __init__(self, topology: Topology, settings: TrackSettings | None = None) -> None:
        self.settings = settings or TrackSettings()
        self._sigmas = keypoint_sigmas(topology.keypoints) * np.float32(self.settings.tolerance)
        self._tracks = Tracks.none(len(topology.keypoints))
        self._time_s = -np.inf
        self._next_id = 1

    def update(self, people: People, time_s: float) -> People:
        """The same people in the same order, with ``ids``.

        Args:
            people: Of the next frame, keypoints (P, C, 3) in source pixels.
            time_s: Of that frame, in seconds. If it is less than that of the frame before, all are
                forgotten: the source began anew.
        """
        self._forget(time_s)
        xy = people.keypoints[:, :, :2]
        area = areas(xy)
        rows, columns, near, sure = self._matched(xy, area, time_s)
        self._tracks.found(rows, xy[columns], area[columns], near, sure, time_s)
        new = np.array(np.isfinite(xy[:, :, 0]).any(axis=1))
        new[columns] = False
        fresh = np.flatnonzero(new)
        if len(fresh):
            rows = np.append(rows, np.arange(len(self._tracks), len(self._tracks) + len(fresh)))
            columns = np.append(columns, fresh)
            self._tracks.add(Tracks.first(xy[fresh], area[fresh], time_s))
        self._time_s = time_s
        self._name_the_sure()
        ids = np.zeros(len(people), np.int64)
        ids[columns] = self._tracks.ids[rows]
        return People(people.keypoints, people.scores, people.capped, ids)

    def _forget(self, time_s: float) -> None:
        """Those out of sight for too long; everyone when time went backwards."""
        tracks = self._tracks
        age = time_s - tracks.seen_s
        unsure_s = min(max(_UNSURE_S, time_s - self._time_s), self.settings.max_age_s)
        if time_s >= self._time_s and age.max(initial=0) <= unsure_s:
            return
        most = np.where(tracks.ids > 0, self.settings.max_age_s, unsure_s)
        kept = (age <= most) & (time_s >= self._time_s)
        if not kept.all():
            tracks.keep(kept)

    def _matched(
        self, xy: Float32, area: Float32, now: float
    ) -> tuple[Rows, Rows, Float32, Float32]:
        """Which tracks (R,) are which people (R,), how near keypoints are (R, C), how sure (R,)."""
        tracks = self._tracks
        expected = tracks.predicted(now)
        wide = (1 + self.settings.drift_per_s * (now - tracks.seen_s)) ** 2
        size = np.maximum(tracks.area[:, None], area) * wide.astype(np.float32)[:, None]
        near = closeness(expected, xy, size, self._sigmas)
        agreeing = near.sum(axis=2)
        similarity = agreeing / (shared(expected, xy) + 1)
        in_sight = tracks.seen_s >= self._time_s
        counts = np.where(in_sight, np.float32(1), np.float32(_HIDDEN_COUNTS))
        table = agreeing * counts[:, None]
        table[similarity < self.settings.least_similarity] = 0
        rows, columns = best_pairs(table)
        return rows, columns, near[rows, columns], _sureness(agreeing, rows, columns)

    def _name_the_sure(self) -> None:
        """An id for each who has been found often enough."""
        tracks = self._tracks
        if tracks.ids.all():
            return
        sure = np.flatnonzero((tracks.ids == 0) & (tracks.hits >= self.settings.min_hits))
        if len(sure):
            tracks.ids[sure] = np.arange(self._next_id, self._next_id + len(sure))
            self._next_id += len(sure)


def _sureness(agreeing: Float32, rows: Rows, columns: Rows) -> Float32:
    """(R,) 1 where nobody else agrees with who was found, less where others do too."""
    if len(agreeing) < 2:
        return np.ones(len(rows), np.float32)
    rivals = agreeing[:, columns]
    rivals[rows] *= np.float32(_OTHERS_COUNT)
    rivals[rows, np.arange(len(rows))] = 0
    rival = rivals.max(axis=0)
    other = 1 - rival / agreeing[rows, columns]
    return np.asarray(np.clip(other, _LEAST_SURE, 1) ** 2, np.float32)


def best_pairs(table: npt.NDArray[np.float32]) -> tuple[Rows, Rows]:
    """Rows and columns of the assignment of the greatest sum; what is 0 is never assigned."""
    possible = table > 0
    rows, columns = possible.nonzero()
    if possible.sum(axis=0).max(initial=0) > 1 or len(rows) > len(set(rows.tolist())):
        rows, columns = linear_sum_assignment(table, maximize=True)
        real = possible[rows, columns]
        rows, columns = rows[real], columns[real]
    return rows, columns
