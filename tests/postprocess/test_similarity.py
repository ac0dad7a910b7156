"""Object keypoint similarity, against COCO's own formula."""

from __future__ import annotations

import numpy as np
import pytest
from walking import TOPOLOGY, person

from posert.postprocess.similarity import areas, closeness, keypoint_sigmas, shared


def test_as_coco_says() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 40, (2, 18, 2)).astype(np.float32)
    b = rng.uniform(0, 40, (3, 18, 2)).astype(np.float32)
    a[0, :5] = np.nan
    sigmas = keypoint_sigmas(TOPOLOGY.keypoints)
    near = closeness(a, b, np.full((2, 3), 500, np.float32), sigmas)
    count = shared(a, b)
    for i, j in np.ndindex(2, 3):
        e = ((a[i] - b[j]) ** 2).sum(axis=1) / (2 * sigmas * 2 * sigmas) / 500 / 2
        there = np.isfinite(e)
        np.testing.assert_allclose(near[i, j, there], np.exp(-e[there]), rtol=1e-4)
        assert not near[i, j, ~there].any()
        assert count[i, j] == there.sum()


def test_only_keypoints_of_both_count() -> None:
    part = person(100, only=[8, 9, 10])[None, :, :2]
    other = person(100, only=[0, 8])[None, :, :2]
    area = np.full((1, 1), 2500, np.float32)
    assert shared(part, other).item() == 1
    assert closeness(part, other, area, keypoint_sigmas(TOPOLOGY.keypoints)).sum() == 1


def test_sigmas_go_by_name_and_unknown_names_have_one_too() -> None:
    sigmas = keypoint_sigmas(["left_hip", "nose", "tail"])
    assert sigmas.tolist() == pytest.approx([0.107, 0.026, 0.08])


def test_areas_of_a_person_of_a_point_and_of_nothing() -> None:
    xy = np.full((3, 18, 2), np.nan, np.float32)
    xy[0] = person(100, height=200)[:, :2]
    xy[1, 3] = (5, 5)
    whole, point, nothing = areas(xy)
    assert 0.2 * 200**2 < whole < 0.4 * 200**2
    assert point == nothing == 1
