"""What a user may rely on of parse_maps, whatever the maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from people import CHAIN, draw

from posert.postprocess import ParserSettings, parse_maps
from posert.postprocess.topology import Topology
from posert.types import Capped, Float32

ONE = [(5.5, 4.5), (12.5, 8.5), (14.5, 16.5)]
OTHER = [(30.5, 5.5), (25.5, 12.5), (31.5, 20.5)]
SIZE = (28, 40)

both = pytest.mark.parametrize("reference", [True, False], ids=["reference", "default"])


def random_maps(seed: int, size: tuple[int, int] = SIZE) -> tuple[Float32, Float32]:
    rng = np.random.default_rng(seed)
    cmap = rng.random((3, *size), np.float32) ** 4
    return cmap, rng.normal(0, 0.5, (4, *size)).astype(np.float32)


def same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=True)


@both
def test_two_people_are_found_where_they_are(reference: bool) -> None:
    people = parse_maps(*draw([ONE, OTHER], SIZE), CHAIN, reference=reference)
    assert len(people) == 2
    in_order = people.keypoints[np.argsort(people.keypoints[:, 0, 0])]
    # A window of 5 cells cuts a Gaussian of sigma 1.4; drawn at cell centres it does so evenly.
    np.testing.assert_allclose(in_order[..., :2], [ONE, OTHER], atol=0.02)
    np.testing.assert_allclose(in_order[..., 2], 1, atol=1e-6)
    assert people.keypoints.dtype == people.scores.dtype == np.float32
    assert not people.capped


@both
def test_a_missing_keypoint_is_nan(reference: bool) -> None:
    people = parse_maps(*draw([[ONE[0], ONE[1], None]], SIZE), CHAIN, reference=reference)
    assert len(people) == 1
    assert np.isnan(people.keypoints[0, 2]).all()
    assert np.isfinite(people.keypoints[0, :2]).all()


@both
def test_a_more_complete_person_ranks_higher(reference: bool) -> None:
    maps = draw([[OTHER[0], OTHER[1], None], ONE], SIZE)
    people = parse_maps(*maps, CHAIN, reference=reference)
    found = np.isfinite(people.keypoints[..., 0]).sum(axis=1)
    assert found[np.argmax(people.scores)] == 3


@both
def test_empty_maps_have_no_people(reference: bool) -> None:
    people = parse_maps(np.zeros((3, 9, 7)), np.zeros((4, 9, 7)), CHAIN, reference=reference)
    assert people.keypoints.shape == (0, 3, 3)
    assert people.scores.shape == (0,)
    assert not people.capped


def test_one_keypoint_type_without_links() -> None:
    topology = Topology("dot", ("dot",), (), ())
    cmap, _ = draw([ONE, OTHER], SIZE)
    people = parse_maps(cmap[:1], np.zeros((1, *SIZE)), topology)
    np.testing.assert_allclose(people.keypoints[:, 0, :2], [ONE[0], OTHER[0]], atol=0.02)


@both
def test_a_map_of_one_cell(reference: bool) -> None:
    cmap = np.array([1, 0, 0], np.float32).reshape(3, 1, 1)
    people = parse_maps(cmap, np.ones((4, 1, 1)), CHAIN, reference=reference)
    np.testing.assert_allclose(people.keypoints[0, 0, 2], 1)
    assert 0 <= people.keypoints[0, 0, 0] <= 1
    assert 0 <= people.keypoints[0, 0, 1] <= 1


def test_peaks_beyond_the_cap_are_counted_and_the_first_rows_kept() -> None:
    topology = Topology("dot", ("dot", "dash"), (), ())
    cmap = np.zeros((2, 30, 30), np.float32)
    cmap[0, 2::6, 2::6] = 1  # 25 peaks
    cmap[1, 2, 2::6] = 1  # 5 peaks
    people = parse_maps(cmap, np.zeros((1, 30, 30)), topology, max_peaks=7, max_people=9)
    assert people.capped == Capped(peaks=25 - 7, people=7 + 5 - 9)
    assert len(people) == 9
    cells = [(x + 0.5, 2.5) for x in (2, 8, 14, 20, 26)] + [(2.5, 8.5), (8.5, 8.5)]
    np.testing.assert_allclose(people.keypoints[:7, 0, :2], cells, atol=1e-4)


@both
def test_a_cap_that_is_just_reached_is_no_loss(reference: bool) -> None:
    maps = draw([ONE, OTHER], SIZE)
    people = parse_maps(*maps, CHAIN, max_peaks=2, max_people=2, reference=reference)
    assert len(people) == 2
    assert people.capped == Capped()


@both
def test_people_too_small_are_left_out_before_the_cap(reference: bool) -> None:
    maps = draw([[ONE[0], None, None], OTHER, [None, (12.5, 21.5), (17.5, 24.5)]], SIZE)
    people = parse_maps(*maps, CHAIN, min_parts=2, max_people=1, reference=reference)
    assert people.capped == Capped(people=1)
    np.testing.assert_allclose(people.keypoints[0, :, :2], OTHER, atol=0.02)


@both
def test_people_of_a_low_score_are_left_out(reference: bool) -> None:
    maps = draw([[ONE[0], ONE[1], None], OTHER], SIZE)
    everyone = parse_maps(*maps, CHAIN, reference=reference)
    limit = float(np.mean(everyone.scores))
    people = parse_maps(*maps, CHAIN, min_score=limit, reference=reference)
    np.testing.assert_array_equal(people.scores, everyone.scores[everyone.scores >= limit])
    assert len(people) == 1
    assert not people.capped


def test_the_default_parser_gives_the_best_people_first() -> None:
    maps = draw([[ONE[0], ONE[1], None], OTHER], SIZE)
    everyone = parse_maps(*maps, CHAIN, reference=False)
    assert everyone.scores[0] > everyone.scores[1]
    kept = parse_maps(*maps, CHAIN, reference=False, max_people=1)
    np.testing.assert_allclose(kept.keypoints[0, :, :2], OTHER, atol=0.02)
    assert kept.capped == Capped(people=1)


@pytest.mark.parametrize("seed", range(20))
def test_the_default_parser_loses_no_peak(seed: int) -> None:
    people = parse_maps(*random_maps(seed), CHAIN, reference=False, window=3)
    alone = Topology("alone", CHAIN.keypoints, (), ())
    peaks = parse_maps(*random_maps(seed), alone, reference=False, window=3)
    found = np.isfinite(people.keypoints[..., 0]).sum(axis=0)
    np.testing.assert_array_equal(found, np.isfinite(peaks.keypoints[..., 0]).sum(axis=0))


@both
@pytest.mark.parametrize("seed", range(5))
def test_the_same_maps_give_the_same_people(seed: int, reference: bool) -> None:
    maps = random_maps(seed)
    one, other = (parse_maps(*maps, CHAIN, reference=reference) for _ in range(2))
    assert len(one) > 3
    assert same(one.keypoints, other.keypoints)
    assert same(one.scores, other.scores)


@both
@pytest.mark.parametrize("seed", range(20))
def test_a_peak_belongs_to_at_most_one_person(seed: int, reference: bool) -> None:
    people = parse_maps(*random_maps(seed), CHAIN, reference=reference, window=3)
    for kind in range(3):
        points = people.keypoints[:, kind, :2]
        points = points[np.isfinite(points[:, 0])]
        assert len(points) > 3
        assert len(np.unique(points, axis=0)) == len(points)


@both
@pytest.mark.parametrize("seed", range(20))
def test_people_stay_on_the_map(seed: int, reference: bool) -> None:
    people = parse_maps(*random_maps(seed), CHAIN, reference=reference)
    found = people.keypoints[np.isfinite(people.keypoints[..., 0])]
    assert (found[:, :2] >= 0).all()
    assert (found[:, :2] <= SIZE[::-1]).all()
    assert np.isfinite(people.scores).all()


@both
def test_people_move_with_the_maps(reference: bool) -> None:
    near = parse_maps(*draw([ONE, OTHER], (40, 60)), CHAIN, reference=reference)
    moved = [[(x + 13, y + 9) for x, y in person] for person in (ONE, OTHER)]
    far = parse_maps(*draw(moved, (40, 60)), CHAIN, reference=reference)
    np.testing.assert_allclose(far.keypoints - near.keypoints, [[[13, 9, 0]] * 3] * 2, atol=1e-4)


@both
def test_inputs_are_left_as_they_were(reference: bool) -> None:
    cmap, paf = random_maps(0)
    cmap[0, 3, 4], paf[1, 2, 3] = np.nan, np.inf
    before = cmap.copy(), paf.copy()
    cmap.flags.writeable = paf.flags.writeable = False
    parse_maps(cmap, paf, CHAIN, reference=reference)
    assert same(cmap, before[0])
    assert same(paf, before[1])


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_make_no_ghosts(value: float, reference: bool) -> None:
    cmap, paf = draw([ONE, OTHER], SIZE)
    wanted = parse_maps(cmap, paf, CHAIN, reference=reference)
    cmap[:, 24:], cmap[:, :, 36:], paf[:, 24:] = value, value, value
    people = parse_maps(cmap, paf, CHAIN, reference=reference)
    np.testing.assert_allclose(people.keypoints, wanted.keypoints, atol=1e-3)


@both
def test_maps_of_nothing_but_nan_have_no_people(reference: bool) -> None:
    maps = np.full((3, *SIZE), np.nan), np.full((4, *SIZE), np.nan)
    assert len(parse_maps(*maps, CHAIN, reference=reference)) == 0


@both
@pytest.mark.parametrize("value", [3e38, 1e36, -3e38])
def test_values_at_the_end_of_float32_do_not_crash(value: float, reference: bool) -> None:
    cmap, paf = draw([ONE, OTHER], SIZE)
    cmap[:, 8:12, 10:14], paf[:] = value, value
    people = parse_maps(cmap, paf, CHAIN, reference=reference)
    assert len(people) > 0
    assert (np.isfinite(people.keypoints).all(-1) | np.isnan(people.keypoints).all(-1)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_cast(dtype: type[np.floating[Any]]) -> None:
    cmap, paf = (np.round(array * 64) / 64 for array in random_maps(1))  # exact in float16
    wanted = parse_maps(cmap, paf, CHAIN)
    people = parse_maps(cmap.astype(dtype), paf.astype(dtype), CHAIN)
    assert same(people.keypoints, wanted.keypoints)
    assert people.keypoints.dtype == np.float32


def test_maps_need_not_be_contiguous() -> None:
    cmap, paf = random_maps(2)
    wanted = parse_maps(cmap, paf, CHAIN)
    cmap, paf = (np.moveaxis(np.moveaxis(array, 0, 2).copy(), 2, 0) for array in (cmap, paf))
    assert not cmap.flags.c_contiguous
    assert same(parse_maps(cmap, paf, CHAIN).keypoints, wanted.keypoints)


@pytest.mark.parametrize(
    ("cmap", "paf", "message"),
    [
        ((2, 8, 8), (4, 8, 8), "cmap has 2 channels: expected 3"),
        ((3, 8, 8), (3, 8, 8), "paf has 3 channels: expected 4"),
        ((3, 8, 8), (4, 8, 9), r"differ in size: \(8, 8\) and \(8, 9\)"),
        ((1, 3, 8, 8), (1, 4, 8, 8), r"cmap has shape \(1, 3, 8, 8\): expected \(channels, h, w\)"),
        ((3, 0, 8), (4, 0, 8), "none of them 0"),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    cmap: tuple[int, ...], paf: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse_maps(np.zeros(cmap), np.zeros(paf), CHAIN)


def test_maps_of_complex_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="paf is of dtype complex128"):
        parse_maps(np.zeros((3, 8, 8)), np.zeros((4, 8, 8), complex), CHAIN)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": 0}, "threshold=0: expected a finite number, above 0"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"window": 4}, "window=4: expected an odd number"),
        ({"window": -1}, "window=-1: expected a whole number, at least 1"),
        ({"window": 5.0}, "window=5.0: expected a whole number"),
        ({"samples": 1}, "samples=1: expected a whole number, at least 2"),
        ({"link_threshold": -0.1}, "link_threshold=-0.1: expected a finite number, 0 or more"),
        ({"max_peaks": 0}, "max_peaks=0: expected a whole number, at least 1"),
        ({"min_parts": 0}, "min_parts=0: expected a whole number, at least 1"),
        ({"min_score": -1}, "min_score=-1: expected a finite number, 0 or more"),
        ({"max_people": 0}, "max_people=0: expected a whole number, at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParserSettings(**setting)
