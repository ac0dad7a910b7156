"""How alike two sets of people are: object keypoint similarity, all pairs at once.

Source: OKS of the COCO keypoint challenge (https://cocodataset.org/#keypoints-eval): the mean,
over the keypoints, of exp(-d^2 / (2 s^2 k^2)), where d is a keypoint's distance, s^2 the person's
area and k twice the keypoint's standard deviation among annotators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from posert.types import Float32

# COCO's, by what a keypoint is called without its side; the neck is not COCO's: as the shoulders.
_SIGMAS: Final = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "neck": 0.079, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
_ANY_SIGMA: Final = 0.08  # of a keypoint that COCO does not know
_AREA: Final = 0.25  # of a person, per squared diagonal of the box around its keypoints
_LEAST_AREA: Final = 1.0  # px^2: people of a single keypoint have no extent


def keypoint_sigmas(names: Sequence[str]) -> Float32:
    """(C,) COCO's sigma of each keypoint by its name, ``left_`` and ``right_`` set aside."""
    plain = (name.removeprefix("left_").removeprefix("right_") for name in names)
    return np.array([_SIGMAS.get(name, _ANY_SIGMA) for name in plain], np.float32)


def areas(xy: Float32) -> Float32:
    """(P,) px^2, the areas of people (P, C, 2) of which NaN is what was not found.

    COCO takes the area of a person's outline. This takes a quarter of the squared diagonal of the
    keypoints' box: about as much for one who stands, and not near nothing for one seen from the
    side whose keypoints lie on a line.
    """
    by_keypoint = np.ascontiguousarray(xy.transpose(1, 0, 2))  # three times as fast to reduce
    extent: Float32 = np.fmax.reduce(by_keypoint, axis=0) - np.fmin.reduce(by_keypoint, axis=0)
    extent *= extent
    area: Float32 = np.fmax(extent.sum(axis=1) * np.float32(_AREA), np.float32(_LEAST_AREA))
    return area


def closeness(a: Float32, b: Float32, area: Float32, sigmas: Float32) -> Float32:
    """(A, B, C) 0..1, how near each keypoint of people (A, C, 2) is to that of each of (B, C, 2).

    Args:
        a: x and y, NaN where not found.
        b: The others.
        area: (A, B) px^2, the size by which a distance counts.
        sigmas: (C,), see `keypoint_sigmas`.

    A keypoint that either has not is 0.
    """
    dx = a[:, None, :, 0] - b[None, :, :, 0]
    dy = a[:, None, :, 1] - b[None, :, :, 1]
    dx *= dx
    dy *= dy
    dx += dy
    dx *= -0.125 / (sigmas * sigmas)
    dx /= area[:, :, None]
    np.exp(dx, out=dx)
    near: Float32 = np.fmax(dx, np.float32(0))  # fmax: a NaN is nothing
    return near


def shared(a: Float32, b: Float32) -> Float32:
    """(A, B) how many keypoints were found in both of people (A, C, 2) and (B, C, 2)."""
    found_a, found_b = (np.isfinite(xy[:, :, 0]).astype(np.float32) for xy in (a, b))
    both: Float32 = found_a @ found_b.T
    return both
