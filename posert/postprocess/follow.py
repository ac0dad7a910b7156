"""The people of one source from frame to frame: who is who, and steadier keypoints."""

from __future__ import annotations

from dataclasses import dataclass

from posert.postprocess.smooth import Smoother, SmoothSettings
from posert.postprocess.topology import Topology
from posert.postprocess.track import Tracker, TrackSettings
from posert.types import People


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How people are followed; ``smooth`` None: keypoints stay as they were found."""

    track: TrackSettings
    smooth: SmoothSettings | None


class Follower:
    """Gives people ids, then smooths who has one; call it with each frame, in order."""

    def __init__(self, topology: Topology, settings: FollowSettings) -> None:
        self._tracker = Tracker(topology, settings.track)
        self._smoother = Smoother(settings.smooth) if settings.smooth is not None else None

    def __call__(self, people: People, time_s: float) -> People:
        """``people`` (source pixels) of the frame at ``time_s``, seconds, with ids."""
        people = self._tracker.update(people, time_s)
        return people if self._smoother is None else self._smoother.update(people, time_s)
