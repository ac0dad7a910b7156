"""The compact form's second half, alone: the same people from peaks and link scores as from maps.

The maps go through the graph behind a network, ``parse_graph``, in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
from golden import FILES, read
from making.maps import crowd
from people import CHAIN, draw

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import parse_graph
from posert.postprocess import ParserSettings
from posert.postprocess.parser import parse
from posert.postprocess.tensors import parse_tensors
from posert.postprocess.topology import Topology
from posert.types import Capped, Float32, People, PoseTensors

CELL_TOLERANCE = 0.05  # cells: what two forms of one network may differ by
ONE = [(5.5, 4.5), (12.5, 8.5), (14.5, 16.5)]
OTHER = [(30.5, 5.5), (25.5, 12.5), (31.5, 20.5)]
SIZE = (28, 40)
LOOSE = ParserSettings(max_peaks=24, min_parts=2)

both = pytest.mark.parametrize("reference", [True, False], ids=["reference", "default"])


@lru_cache
def session(topology: Topology, settings: ParserSettings) -> Any:
    onnxruntime.set_default_logger_severity(3)
    model = parse_graph(topology, settings).SerializeToString()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def tensors(
    cmap: Float32, paf: Float32, topology: Topology, settings: ParserSettings
) -> PoseTensors:
    """What the graph says of the maps of one picture."""
    feeds = {"cmap": cmap[None], "paf": paf[None]}
    peaks, counts, scores = session(topology, settings).run(None, feeds)
    return PoseTensors(peaks[0], counts[0].astype(np.int64), scores[0])


def assert_same_people(found: People, wanted: People) -> None:
    """The same keypoints of the same people, in whatever order."""
    assert len(found) == len(wanted)
    assert found.capped == wanted.capped
    left = [np.nan_to_num(person, nan=-9.0) for person in found.keypoints]
    for person in wanted.keypoints:
        gaps = [np.abs(one - np.nan_to_num(person, nan=-9.0)).max() for one in left]
        assert min(gaps) <= CELL_TOLERANCE
        del left[int(np.argmin(gaps))]


def assert_same_as_maps(
    cmap: Float32,
    paf: Float32,
    topology: Topology,
    settings: ParserSettings,
    graph: ParserSettings | None = None,
) -> People:
    """Compares both forms; the graph may have been built with other settings."""
    found = parse_tensors(tensors(cmap, paf, topology, graph or settings), topology, settings)
    assert_same_people(found, parse(cmap, paf, topology, settings))
    return found


@both
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_maps_have_the_same_people(path: Any, reference: bool) -> None:
    golden = read(path)
    settings = replace(golden.settings, reference=reference)
    people = assert_same_as_maps(golden.cmap, golden.paf, golden.topology, settings)
    assert len(people) > 0 or path.stem == "empty"


@pytest.mark.slow
def test_crowds_have_the_same_people() -> None:
    card = find_card("pose-small")
    topology = read_topology(card.topology_path)
    settings = [replace(p, max_peaks=40) for p in (card.parser, card.trt_pose_parser)]
    found = 0
    for seed in range(200):
        cmap, paf = crowd(seed, 5 + seed % 26, (48, 64), topology)
        for each in settings:
            found += len(assert_same_as_maps(cmap, paf, topology, each))
    assert found > 200 * 2 * 4


@pytest.mark.parametrize("count", [8, 16])
@both
def test_caps_keep_the_same_peaks_and_count_the_others(reference: bool, count: int) -> None:
    topology = read_topology(find_card("pose-small").topology_path)
    cmap, paf = crowd(7, 40, (48, 64), topology)
    settings = ParserSettings(max_peaks=count, max_people=5, reference=reference)
    people = assert_same_as_maps(cmap, paf, topology, settings)
    assert people.capped.peaks > 0
    assert people.capped.people > 0


def test_of_too_many_peaks_the_strongest_are_kept_in_row_major_order() -> None:
    cmap = np.zeros((3, 30, 30), np.float32)
    strengths = np.random.default_rng(0).permutation(25).astype(np.float32) / 25 + 0.2
    cmap[0, 2::6, 2::6] = strengths.reshape(5, 5)
    settings = ParserSettings(max_peaks=8, reference=False)
    found = tensors(cmap, np.zeros((4, 30, 30), np.float32), CHAIN, settings)
    kept = np.flatnonzero(strengths >= np.sort(strengths)[-8])
    np.testing.assert_array_equal(found.peaks[0, :, 2], strengths[kept])
    np.testing.assert_array_equal(found.counts, [25, 0, 0])
    assert parse_tensors(found, CHAIN, settings).capped.peaks == 25 - 8


@both
@pytest.mark.parametrize(
    "stricter", [{"threshold": 0.4}, {"max_peaks": 5}, {"link_threshold": 0.5}, {"min_parts": 3}]
)
def test_settings_stricter_than_the_graph_s_act_on_the_host(
    reference: bool, stricter: dict[str, Any]
) -> None:
    topology = read_topology(find_card("pose-small").topology_path)
    cmap, paf = crowd(3, 12, (48, 64), topology)
    graph = ParserSettings(max_peaks=40, reference=reference)
    looser = assert_same_as_maps(cmap, paf, topology, graph)
    assert not looser.capped.peaks
    people = assert_same_as_maps(cmap, paf, topology, replace(graph, **stricter), graph)
    assert not np.array_equal(people.keypoints, looser.keypoints, equal_nan=True)


def test_peaks_beyond_the_graph_s_cap_do_not_count_where_a_higher_threshold_excludes_them() -> None:
    topology = read_topology(find_card("pose-small").topology_path)
    cmap, paf = crowd(7, 40, (48, 64), topology)
    graph = ParserSettings(max_peaks=16, reference=False)
    assert parse(cmap, paf, topology, graph).capped.peaks > 0
    wanted = replace(graph, threshold=0.9)
    people = assert_same_as_maps(cmap, paf, topology, wanted, graph)
    assert people.capped.peaks == 0


@both
def test_empty_maps_have_no_people(reference: bool) -> None:
    settings = replace(LOOSE, reference=reference)
    cmap, paf = np.zeros((3, 9, 7), np.float32), np.zeros((4, 9, 7), np.float32)
    people = assert_same_as_maps(cmap, paf, CHAIN, settings)
    assert people.keypoints.shape == (0, 3, 3)


@both
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (2, 9), (4, 4)])
def test_maps_smaller_than_the_window_and_than_the_most_peaks(
    size: tuple[int, int], reference: bool
) -> None:
    rng = np.random.default_rng(size[1])
    cmap, paf = rng.random((3, *size), np.float32), np.ones((4, *size), np.float32)
    settings = ParserSettings(window=7, max_peaks=100, reference=reference)
    people = assert_same_as_maps(cmap, paf, CHAIN, settings)
    assert len(people) > 0


@both
def test_a_window_of_one_cell(reference: bool) -> None:
    rng = np.random.default_rng(5)
    cmap, paf = rng.random((3, 6, 8), np.float32), rng.normal(0, 1, (4, 6, 8)).astype(np.float32)
    settings = ParserSettings(window=1, max_peaks=48, reference=reference)
    assert len(assert_same_as_maps(cmap, paf, CHAIN, settings)) > 0


@both
def test_paf_channels_in_another_order(reference: bool) -> None:
    topology = replace(CHAIN, paf_channels=((3, 1), (0, 2)))
    maps = draw([ONE, OTHER], SIZE, topology)
    people = assert_same_as_maps(*maps, topology, replace(LOOSE, reference=reference))
    assert len(people) == 2
    assert np.isfinite(people.keypoints).all()


@both
def test_a_batch_says_of_each_picture_what_it_says_of_it_alone(reference: bool) -> None:
    settings = replace(LOOSE, reference=reference)
    maps = [draw(people, SIZE) for people in ([ONE], [], [OTHER, ONE])]
    feeds = {"cmap": np.stack([m[0] for m in maps]), "paf": np.stack([m[1] for m in maps])}
    peaks, counts, scores = session(CHAIN, settings).run(None, feeds)
    for number, (cmap, paf) in enumerate(maps):
        alone = tensors(cmap, paf, CHAIN, settings)
        np.testing.assert_array_equal(alone.peaks, peaks[number])
        np.testing.assert_array_equal(alone.counts, counts[number])
        np.testing.assert_array_equal(alone.link_scores, scores[number])


def test_what_is_beyond_the_counts_is_zero() -> None:
    found = tensors(*draw([ONE, OTHER], SIZE), CHAIN, LOOSE)
    np.testing.assert_array_equal(found.counts, [2, 2, 2])
    assert (found.peaks[:, :2] > 0).all()
    assert not found.peaks[:, 2:].any()
    assert found.link_scores[:, :2, :2].diagonal(axis1=1, axis2=2).all()
    assert not found.link_scores[:, 2:].any()
    assert not found.link_scores[:, :, 2:].any()


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_count_as_zero(value: float, reference: bool) -> None:
    settings = replace(LOOSE, reference=reference, min_parts=1)
    found = tensors(*draw([ONE, OTHER], SIZE), CHAIN, settings)
    peaks, scores = found.peaks.copy(), found.link_scores.copy()
    peaks[2, 0, 2] = scores[0, 0] = value
    people = parse_tensors(replace(found, peaks=peaks, link_scores=scores), CHAIN, settings)
    assert np.isfinite(people.keypoints[..., 0]).sum(axis=0).tolist() == [2, 2, 1]
    assert np.isfinite(people.scores).all()
    assert people.capped == Capped()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@both
def test_maps_that_are_not_finite_do_no_harm(reference: bool, value: float) -> None:
    cmap, paf = draw([ONE, OTHER], SIZE)
    cmap[:, 8:12, 10:14], paf[:] = value, value
    settings = replace(LOOSE, reference=reference, min_parts=1)
    with np.errstate(all="ignore"):
        people = parse_tensors(tensors(cmap, paf, CHAIN, settings), CHAIN, settings)
    assert (np.isfinite(people.keypoints).all(-1) | np.isnan(people.keypoints).all(-1)).all()
    assert np.isfinite(people.scores).all()


def test_a_peak_far_off_the_map_does_no_harm() -> None:
    found = tensors(*draw([ONE, OTHER], SIZE), CHAIN, LOOSE)
    peaks = found.peaks.copy()
    peaks[0, 1, :2] = 1e30
    people = parse_tensors(replace(found, peaks=peaks), CHAIN, LOOSE)
    assert people.keypoints[:, 0, 0].max() == np.float32(1e30)


def broken(name: str) -> Callable[[PoseTensors], PoseTensors]:
    return lambda good: replace(good, **{name: getattr(good, name)[:-1]})


@pytest.mark.parametrize("name", ["peaks", "counts", "link_scores"])
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    good = tensors(*draw([ONE], SIZE), CHAIN, LOOSE)
    with pytest.raises(ValueError, match=f"{name} has shape .* topology 'chain'"):
        parse_tensors(broken(name)(good), CHAIN, LOOSE)
