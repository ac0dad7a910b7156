"""The reference parser equals trt_pose's own C++ parser, stage by stage."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from golden import FILES, Golden, read

from posert.postprocess import parse_maps
from posert.postprocess.group import assign, connect
from posert.postprocess.links import Pairs, all_pairs, score_links
from posert.postprocess.peaks import Peaks, find_peaks, refine_peaks
from posert.types import Float32

# Cells. Both sides are float32, but a golden coordinate is divided by the map's size, and some
# compilers contract a * b + c: a few units in the last place of a number up to 100.
CELL_TOLERANCE = 1e-4
SCORE_TOLERANCE = 1e-4  # a unit vector between peaks a cell apart carries the cells' error along


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read(request.param)


def found(golden: Golden) -> Peaks:
    settings = golden.settings
    return find_peaks(golden.cmap, settings.threshold, settings.window, settings.max_peaks)


def refined(golden: Golden) -> Peaks:
    return refine_peaks(found(golden), golden.cmap, golden.settings.window)


def scored(golden: Golden) -> tuple[Pairs, Float32]:
    peaks = refined(golden)
    pairs = all_pairs(peaks, golden.topology)
    return pairs, score_links(golden.paf, peaks, pairs, golden.topology, golden.settings.samples)


def test_golden_files_are_there() -> None:
    assert len(FILES) == 16


def test_peaks(golden: Golden) -> None:
    peaks = found(golden)
    np.testing.assert_array_equal(peaks.counts, golden.wanted["peak_counts"])
    for kind, count in enumerate(peaks.counts):
        cells = peaks.cells[peaks.kinds == kind]
        np.testing.assert_array_equal(cells, golden.wanted["peaks"][kind, :count])


def test_refined_peaks(golden: Golden) -> None:
    peaks = refined(golden)
    for kind, count in enumerate(peaks.counts):
        wanted = golden.wanted["refined"][kind, :count] * np.asarray(golden.cmap.shape[1:])
        points = peaks.points[peaks.kinds == kind]
        np.testing.assert_allclose(points, wanted, rtol=0, atol=CELL_TOLERANCE)


def test_link_scores(golden: Golden) -> None:
    pairs, found = scored(golden)
    scores = pairs.tables_of(found, np.arange(len(golden.topology.links)))
    for link, (a, b) in enumerate(golden.topology.links):
        counts = golden.wanted["peak_counts"]
        wanted = golden.wanted["link_scores"][link, : counts[a], : counts[b]]
        np.testing.assert_allclose(scores[link], wanted, rtol=0, atol=SCORE_TOLERANCE)


def test_connections(golden: Golden) -> None:
    pairs, scores = scored(golden)
    chosen = assign(pairs, scores, golden.settings.link_threshold, reference=True)
    starts, tables = found(golden).starts, pairs.tables[chosen]
    for link, partners in enumerate(golden.wanted["connections"]):
        of_a, of_b = golden.topology.links[link]
        of_link = chosen[tables == link]
        a = np.flatnonzero(partners[0] >= 0)
        np.testing.assert_array_equal(pairs.a[of_link] - starts[of_a], a)
        np.testing.assert_array_equal(pairs.b[of_link] - starts[of_b], partners[0, a])


def test_people(golden: Golden) -> None:
    peaks = refined(golden)
    pairs, scores = scored(golden)
    chosen = assign(pairs, scores, golden.settings.link_threshold, reference=True)
    members = connect(np.stack([pairs.a[chosen], pairs.b[chosen]], axis=1), peaks)
    local = np.where(members >= 0, members - peaks.starts[:-1], -1)
    np.testing.assert_array_equal(local, golden.wanted["people"])


def test_parse_maps_gives_the_same_keypoints(golden: Golden) -> None:
    people = parse_maps(golden.cmap, golden.paf, golden.topology, **asdict(golden.settings))
    members = golden.wanted["people"]
    assert len(people) == len(members)
    h, w = golden.cmap.shape[1:]
    for person, row in zip(people.keypoints, members, strict=True):
        for kind, index in enumerate(row):
            if index < 0:
                assert np.isnan(person[kind]).all()
                continue
            y, x = golden.wanted["refined"][kind, index]
            cell = tuple(golden.wanted["peaks"][kind, index])
            wanted = (x * w, y * h, golden.cmap[kind][cell])
            np.testing.assert_allclose(person[kind], wanted, rtol=0, atol=CELL_TOLERANCE)
