"""Munkres' algorithm finds a best assignment, and of equal ones the first in row-major order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from posert.postprocess.munkres import munkres


@pytest.mark.parametrize("seed", range(200))
def test_as_good_as_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, rng.integers(2, 12), rng.integers(1, 9, 2)).astype(np.float32)
    rows, columns = munkres(scores)
    assert len(rows) == len(set(rows)) == len(set(columns)) == min(scores.shape)
    assert scores[rows, columns].sum() == scores[linear_sum_assignment(-scores)].sum()


def test_ties_go_to_the_first_row_and_column() -> None:
    rows, columns = munkres(np.ones((2, 3), np.float32))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1])
    rows, columns = munkres(np.ones((3, 1), np.float32))
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_scores_are_left_as_they_were() -> None:
    scores = np.arange(12, dtype=np.float32).reshape(3, 4)
    before = scores.copy()
    munkres(scores)
    np.testing.assert_array_equal(scores, before)
