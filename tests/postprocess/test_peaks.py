"""Where a peak is, to a fraction of a cell."""

from __future__ import annotations

import numpy as np
import pytest

from posert.postprocess.peaks import find_peaks, fit_peaks, refine_peaks
from posert.types import Float32

FRACTIONS = [(0.0, 0.0), (0.3, -0.2), (-0.45, 0.45), (0.1, 0.4)]


def gaussian(y: float, x: float, sigma: float = 1.4, size: int = 15) -> Float32:
    """A confidence map float32 (1, size, size) around y, x."""
    ys, xs = np.indices((size, size)) + 0.5
    bump: Float32 = np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * sigma**2)).astype(np.float32)
    return bump[None]


@pytest.mark.parametrize("sigma", [1.0, 1.4, 3.0])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_fitted_gaussian_is_found_where_it_is(
    fraction: tuple[float, float], sigma: float
) -> None:
    y, x = 7.5 + fraction[0], 7.5 + fraction[1]
    cmap = gaussian(y, x, sigma)
    peaks = fit_peaks(find_peaks(cmap, 0.1, 5, 20), cmap)
    np.testing.assert_allclose(peaks.points, [[y, x]], atol=1e-4)


def test_the_reference_pulls_peaks_to_the_middle_of_their_cell() -> None:
    cmap = gaussian(7.5 + 0.4, 7.5)
    found = find_peaks(cmap, 0.1, 5, 20)
    refined = refine_peaks(found, cmap, 5).points[0, 0] - 7.5
    assert 0.15 < refined < 0.35


@pytest.mark.parametrize("corner", [(0.5, 0.5), (0.5, 14.5), (14.5, 0.5), (14.5, 14.5)])
def test_a_peak_in_a_corner_stays_there(corner: tuple[float, float]) -> None:
    cmap = gaussian(*corner)
    peaks = fit_peaks(find_peaks(cmap, 0.1, 5, 20), cmap)
    np.testing.assert_array_equal(peaks.points, [corner])


def test_all_cells_of_a_plateau_are_peaks_of_their_own_cell() -> None:
    cmap = np.zeros((1, 9, 9), np.float32)
    cmap[0, 4, 3:6] = 0.7
    peaks = fit_peaks(find_peaks(cmap, 0.1, 5, 20), cmap)
    np.testing.assert_array_equal(peaks.cells, [(4, 3), (4, 4), (4, 5)])
    assert (np.abs(peaks.points - 0.5 - peaks.cells) <= 0.5).all()


def test_negative_neighbours_do_no_harm() -> None:
    cmap = np.full((1, 9, 9), -0.2, np.float32)
    cmap[0, 4, 4] = 0.9
    peaks = fit_peaks(find_peaks(cmap, 0.1, 5, 20), cmap)
    np.testing.assert_array_equal(peaks.points, [(4.5, 4.5)])


def test_of_too_many_peaks_the_first_or_the_strongest_are_kept() -> None:
    cmap = np.zeros((2, 9, 40), np.float32)
    cmap[0, 4, 2::6] = (0.5, 0.3, 0.9, 0.5, 0.5, 0.2, 0.4)
    cmap[1, 4, 4] = 0.1
    first = find_peaks(cmap, 0.1, 5, 3)
    np.testing.assert_array_equal(first.cells[:, 1], [2, 8, 14, 4])
    strongest = find_peaks(cmap, 0.1, 5, 3, strongest=True)
    np.testing.assert_array_equal(strongest.cells[:, 1], [2, 14, 20, 4])
    np.testing.assert_array_equal(strongest.counts, [3, 1])
    assert first.left_out == strongest.left_out == (4,)
