"""Ground truth of a frame: boxes and 18 keypoints with visibility, from the posed bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from walkers.body import BODY_JOINTS
from walkers.mesh import Array
from walkers.people import Stage

NAMES = [*BODY_JOINTS, "neck"]
# How deep a joint may lie behind the surface and still be seen, in metres for a 1.7 m person:
# face points lie on the skin, the others inside the limbs.
DEPTHS = [0.045] * 3 + [0.05] * 2 + [0.13] * 2 + [0.085] * 4 + [0.17] * 2 + [0.10] * 4 + [0.13]


def with_neck(joints: Array) -> Array:
    """17 points plus the midpoint of both shoulders."""
    return np.concatenate([joints, (joints[5:6] + joints[6:7]) / 2])


def person_truth(
    number: int, joints: Array, points: Array, height: float, stage: Stage, depth: Array
) -> dict[str, Any] | None:
    """A person's entry (None when outside the frame): all coordinates in pixels to 0.1."""
    width, tall = stage.width, stage.height
    outline = stage.camera.project(points, width, tall)
    low = np.clip(outline[:, :2].min(axis=0), 0, [width, tall])
    high = np.clip(outline[:, :2].max(axis=0), 0, [width, tall])
    if (high - low).min() < 1 or outline[:, 2].min() < stage.camera.near:
        return None
    spots = stage.camera.project(joints, width, tall)
    h, w = depth.shape
    col = np.clip(spots[:, 0] * w / width, 0, w - 1).astype(int)
    row = np.clip(spots[:, 1] * h / tall, 0, h - 1).astype(int)
    seen = spots[:, 2] < depth[row, col] + np.array(DEPTHS) * height / 1.7
    inside = ((spots[:, :2] >= 0) & (spots[:, :2] < [width, tall])).all(axis=1)
    flags = np.where(inside, np.where(seen, 2, 1), 0)
    keypoints = [
        [round(float(x), 1), round(float(y), 1), int(v)]
        for (x, y), v in zip(spots[:, :2], flags, strict=True)
    ]
    box = [round(float(v), 1) for v in (*low, *(high - low))]
    return {"id": number, "bbox": box, "keypoints": keypoints}
