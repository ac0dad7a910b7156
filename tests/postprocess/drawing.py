"""A person whose keypoints are known, to draw on pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

# x, y in pixels of a person who stands in the middle of 200 x 300, 200 pixels tall
BODY = {
    "nose": (100.0, 50.0),
    "left_eye": (103.0, 46.0),
    "right_eye": (97.0, 46.0),
    "left_ear": (108.0, 48.0),
    "right_ear": (92.0, 48.0),
    "neck": (100.0, 76.0),
    "left_shoulder": (120.0, 76.0),
    "right_shoulder": (80.0, 76.0),
    "left_wrist": (130.0, 140.0),
    "left_hip": (112.0, 132.0),
    "right_hip": (88.0, 132.0),
    "left_ankle": (112.0, 230.0),
    "right_ankle": (88.0, 230.0),
}
NAMES = tuple(BODY)
_LINKS = (
    ("nose", "neck"),
    ("neck", "left_shoulder"),
    ("neck", "right_shoulder"),
    ("left_shoulder", "left_wrist"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "left_ankle"),
    ("right_hip", "right_ankle"),
)
PERSON = Topology(
    "person",
    NAMES,
    tuple((NAMES.index(a), NAMES.index(b)) for a, b in _LINKS),
    tuple((2 * k, 2 * k + 1) for k in range(len(_LINKS))),
)


def person(*missing: str, dx: float = 0.0, scale: float = 1.0, score: float = 0.9) -> Float32:
    """(C, 3) of the person above, moved and enlarged, without the keypoints that are missing."""
    rows = [(scale * (x + dx), scale * y, score) for x, y in BODY.values()]
    keypoints = np.array(rows, np.float32)
    keypoints[[NAMES.index(name) for name in missing]] = np.nan
    return keypoints


def crowd(*persons: Float32, ids: list[int] | None = None) -> People:
    """People of these keypoints."""
    keypoints = np.array(persons, np.float32).reshape(-1, len(NAMES), 3)
    followed = None if ids is None else np.array(ids, np.int64)
    return People(keypoints, np.full(len(keypoints), 0.8, np.float32), ids=followed)


def grey(width: int = 200, height: int = 300, value: int = 90) -> Image:
    """A picture without anything on it."""
    return np.full((height, width, 3), value, np.uint8)


def noise(width: int = 200, height: int = 300) -> Image:
    """A picture with something everywhere."""
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def changed(before: Image, after: Image) -> npt.NDArray[np.bool_]:
    """(H, W) where a viewer sees a difference."""
    return np.asarray(np.abs(after.astype(int) - before).max(axis=2) > 8)
