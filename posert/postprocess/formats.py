"""Keypoint orders of other tools, and people brought into them by keypoint name."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from posert.errors import ConfigError
from posert.postprocess.topology import Topology
from posert.types import Float32

COCO: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

OPENPOSE_COCO_18: Final = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip


def order_of(topology: Topology, names: tuple[str, ...], format_name: str) -> list[int]:
    """Where each of ``names`` stands in ``topology``.

    Raises:
        ConfigError: the topology lacks one of them, so its people have no such form.
    """
    missing = [name for name in names if name not in topology.keypoints]
    if missing:
        raise ConfigError(
            f"{format_name} needs keypoint {missing[0]!r}",
            got=f"topology {topology.name!r} without it",
            fix="use --jsonl or --csv for this model",
        )
    return [topology.keypoints.index(name) for name in names]


def with_zeros(keypoints: Float32) -> Float32:
    """(..., 3) with missing keypoints as 0, 0, 0: what COCO and OpenPose files prescribe."""
    return np.nan_to_num(keypoints, nan=0.0)


def coco_entry(image_id: int, keypoints: Float32, score: float) -> dict[str, Any]:
    """One person, keypoints (17, 3) in source pixels, as an entry of a COCO results file."""
    numbers = [round(v, 3) for v in with_zeros(keypoints).ravel().tolist()]
    return {
        "image_id": image_id,
        "category_id": 1,
        "keypoints": numbers,
        "score": round(score, 5),
    }
