"""Object keypoint similarity, against COCO's own formula."""

from __future__ import annotations

import numpy as np
import pytest
from walking import TOPOLOGY, person

from posert.postprocess.similarity import areas, keypoint_sigmas, similarities


def test_as_coco_says_but_for_one_keypoint_more_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 40, (2, 18, 2)).astype(np.float32)
    b = rng.uniform(0, 40, (3, 18, 2)).astype(np.float32)
    a[0, :5] = np.nan
    sigmas = keypoint_sigmas(TOPOLOGY.keypoints)
    got = similarities(a, b, np.full((2, 3), 500, np.float32), sigmas)
    for i, j in np.ndindex(2, 3):
        e = ((a[i] - b[j]) ** 2).sum(axis=1) / (2 * sigmas * 2 * sigmas) / 500 / 2
        e = e[np.isfinite(e)]
        assert got[i, j] == pytest.approx(np.exp(-e).sum() / (len(e) + 1), rel=1e-4)


def test_few_keypoints_in_common_count_less_than_many() -> None:
    whole = person(100)[None, :, :2]
    part = person(100, only=[8, 9, 10])[None, :, :2]
    other = person(100, only=[0, 14])[None, :, :2]
    sigmas = keypoint_sigmas(TOPOLOGY.keypoints)
    area = np.full((1, 1), 2500, np.float32)
    same = similarities(whole, whole, area, sigmas)
    assert same == pytest.approx(18 / 19)
    assert similarities(whole, part, area, sigmas) == pytest.approx(3 / 4)
    assert similarities(part, other, area, sigmas) == 0


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
