"""The shipped clip against what is known of it: its people were rendered, so all is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from posert.config import shipped
from posert.errors import InputError
from posert.pose import Pose
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Float32, People

REQUIRED: Final = 0.75  # of the visible keypoints; pose-small finds more on every backend tried
_EVERY = 30  # frames between two that are tested
_NEAR = 0.05  # of a person's height: how far off a keypoint may be
_LEAST_HEIGHT = 150  # pixels: people smaller than that are not counted


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the self-test saw."""

    frames: int
    people: int  # known to be there, over all frames
    keypoints_found: float  # share of their visible keypoints found near their place


def run_self_test(pose: Pose | None = None) -> SelfTest:
    """Finds the people of the shipped clip and compares them with the rendered truth.

    Raises:
        InputError: the clip or its truth is not there.
        PosertError: model or engine do not work.
    """
    pose = pose or Pose()
    folder = shipped("demo")
    try:
        truth = json.loads((folder / "walkers.truth.json").read_text())
    except OSError as e:
        raise InputError(f"{folder}: the shipped clip's truth is missing", got=e.strerror) from e
    order = [truth["keypoints"].index(name) for name in pose.topology.keypoints]
    clip = VideoFile(folder / "walkers.mp4")
    hits: list[bool] = []
    frames = people = 0
    for frame in clip.frames(Span(every=_EVERY)):
        known = [p for p in truth["frames"][frame.index] if p["bbox"][3] >= _LEAST_HEIGHT]
        found = pose.estimator(frame.image)
        hits += [hit for person in known for hit in _found(person, order, found)]
        frames, people = frames + 1, people + len(known)
    clip.close()
    return SelfTest(frames, people, float(np.mean(hits)) if hits else 0.0)


def _found(person: dict[str, Any], order: list[int], found: People) -> list[bool]:
    """Of each visible keypoint of ``person``, whether the person most like it has it there."""
    known: Float32 = np.asarray(person["keypoints"], np.float32)[order]
    visible = known[:, 2] == 2
    if not len(found):
        return [False] * int(visible.sum())
    distances = np.linalg.norm(found.keypoints[:, :, :2] - known[None, :, :2], axis=2)
    near = distances < _NEAR * person["bbox"][3]  # NaN is not near
    best = near[:, visible].sum(axis=1).argmax()
    return [bool(hit) for hit in near[best, visible]]
