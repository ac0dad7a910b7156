"""Many pictures parsed at once: the people of each are those of it alone, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from people import CHAIN

from posert.engine_builder.card import find_card, read_topology
from posert.postprocess import ParserSettings
from posert.postprocess.tensors import parse_batch, parse_tensors
from posert.postprocess.topology import Topology
from posert.types import People, PoseTensors

BODY = read_topology(find_card("pose-small").topology_path)

both = pytest.mark.parametrize("reference", [True, False], ids=["reference", "default"])


def random_tensors(
    rng: np.random.Generator, most: int, levels: int, topology: Topology = BODY
) -> PoseTensors:
    """Up to ``most`` peaks of a type, some beyond the graph's cap; few ``levels`` make ties."""
    c, k = len(topology.keypoints), len(topology.links)
    peaks = rng.random((c, most, 3)) * 50
    peaks[..., 2] = rng.integers(0, levels, (c, most)) / levels
    scores = rng.integers(-levels // 2, levels, (k, most, most)) / levels
    scores *= rng.random(scores.shape) < rng.random()
    for values in (peaks, scores):
        if rng.random() < 0.3:
            spoilt = rng.random(values.shape) < 0.1
            values[spoilt] = rng.choice([np.nan, np.inf, -np.inf], spoilt.sum())
    counts = rng.integers(0, most + 3, c) * (rng.random() > 0.2)  # sometimes nobody
    return PoseTensors(peaks.astype(np.float32), counts, scores.astype(np.float32))


def random_settings(rng: np.random.Generator, reference: bool) -> ParserSettings:
    return ParserSettings(
        threshold=0.1,
        link_threshold=float(rng.choice([0, 0.1, 0.4])),
        max_peaks=int(rng.integers(1, 15)),
        max_people=int(rng.integers(1, 40)),
        min_parts=int(rng.integers(1, 4)),
        min_score=float(rng.choice([0, 0.05])),
        reference=reference,
    )


def assert_same(found: Sequence[People], wanted: Sequence[People]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.capped == other.capped


@both
@pytest.mark.parametrize("seed", range(60))
def test_a_batch_has_the_people_of_each_picture(seed: int, reference: bool) -> None:
    rng = np.random.default_rng(seed)
    settings = random_settings(rng, reference)
    most, levels = int(rng.integers(1, 14)), int(rng.integers(2, 40))
    batch = [random_tensors(rng, most, levels) for _ in range(rng.integers(1, 9))]
    alone = [parse_tensors(each, BODY, settings) for each in batch]
    assert_same(parse_batch(batch, BODY, settings), alone)


@both
def test_pictures_without_anybody_do_not_move_the_others(reference: bool) -> None:
    rng = np.random.default_rng(1)
    settings = ParserSettings(reference=reference)
    crowd = replace(random_tensors(rng, 8, 30), counts=np.full(18, 6))
    nobody = replace(crowd, counts=np.zeros_like(crowd.counts))
    people = parse_batch([nobody, crowd, nobody, nobody, crowd, nobody], BODY, settings)
    assert [len(each) > 0 for each in people] == [False, True, False, False, True, False]
    assert_same([people[1], people[4]], [parse_tensors(crowd, BODY, settings)] * 2)
    assert_same([people[0]], [parse_tensors(nobody, BODY, settings)])


@both
def test_caps_act_on_each_picture_alone(reference: bool) -> None:
    rng = np.random.default_rng(2)
    full = replace(random_tensors(rng, 12, 30), counts=np.full(18, 14))
    sparse = replace(full, counts=np.full(18, 1))
    settings = ParserSettings(max_peaks=9, max_people=7, reference=reference)
    one, few, other = parse_batch([full, sparse, full], BODY, settings)
    assert one.capped == other.capped == parse_tensors(full, BODY, settings).capped
    assert one.capped.peaks > 0
    assert few.capped.peaks == 0
    assert len(one) == len(other) == 7


def test_no_pictures_have_no_people() -> None:
    assert parse_batch([], BODY, ParserSettings()) == []


def test_pictures_of_different_graphs_are_refused() -> None:
    rng = np.random.default_rng(3)
    batch = [random_tensors(rng, most, 9, CHAIN) for most in (4, 5)]
    with pytest.raises(ValueError, match=r"peaks has shape \(3, 4, 3\): expected \(3, 5, 3\)"):
        parse_batch(batch, CHAIN, ParserSettings())
