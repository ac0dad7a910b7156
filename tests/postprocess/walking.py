"""Made-up people of 18 keypoints for the tests of tracking and smoothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from posert.postprocess.formats import OPENPOSE_COCO_18
from posert.postprocess.topology import Topology
from posert.types import Float32, People

TOPOLOGY = Topology("person", OPENPOSE_COCO_18, (), ())

# A person 100 px tall, by parts: x, y from the middle of the hips.
_SHAPE = np.array([
    (0, -44), (0, -34), (-9, -33), (-12, -18), (-13, -4), (9, -33), (12, -18), (13, -4),
    (-6, 0), (-7, 25), (-7, 50), (6, 0), (7, 25), (7, 50), (-2, -46), (2, -46), (-4, -45), (4, -45),
], np.float32)  # fmt: skip


def person(
    x: float, y: float = 200.0, height: float = 100.0, score: float = 0.8, only: Iterable[int] = ()
) -> Float32:
    """(18, 3) of one who stands at x, y; ``only`` some keypoints when given."""
    keypoints = np.full((18, 3), score, np.float32)
    keypoints[:, :2] = _SHAPE * (height / 100) + (x, y)
    if only := list(only):
        hidden = np.ones(18, bool)
        hidden[only] = False
        keypoints[hidden] = np.nan
    return keypoints


def people(those: Sequence[Float32]) -> People:
    """The people of one picture."""
    keypoints = np.stack(those) if len(those) else np.empty((0, 18, 3), np.float32)
    return People(keypoints, np.ones(len(those), np.float32))
