"""The accuracy gate: what it measures, and that it tells a good engine from a broken one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from posert.building.pictures import shipped_pictures
from posert.config import shipped
from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.gate import (
    FP16_LIMITS,
    Finding,
    finding,
    judge,
    map_error,
    peak_agreement,
    people_agreement,
)
from posert.engine_builder.precision import to_fp16
from posert.engine_builder.quantise import to_int8
from posert.errors import InputError
from posert.manifest import Gate, GateLimits
from posert.postprocess.settings import ParserSettings
from posert.runtime.preprocess import fit, normalise
from posert.types import Float32, People, PoseMaps, PoseTensors

THRESHOLD = 0.1
SETTINGS = ParserSettings(THRESHOLD, max_peaks=100, min_parts=3, min_score=0.05, reference=False)
GOLDEN = Path(__file__).parents[1] / "golden"
Person = Sequence[Sequence[float]]
TOPOLOGY = read_topology(find_card("pose-small").topology_path)


@pytest.fixture(scope="module")
def photo() -> PoseMaps:
    """Maps of a photograph with people in it."""
    with np.load(GOLDEN / "photo_493905.npz") as data:
        return PoseMaps(data["cmap"].astype(np.float32), data["paf"].astype(np.float32))


def of(maps: PoseMaps) -> Finding:
    return finding(maps, TOPOLOGY, SETTINGS)


def found(points: list[tuple[float, float, float, float]], *people: Person) -> Finding:
    """Peaks (type, y, x, score) and people of two keypoints x, y (NaN for what is missing)."""
    keypoints = np.array([[[x, y, 0.9] for x, y in person] for person in people], np.float32)
    scores = np.ones(len(people), np.float32)
    peaks = np.array(points, np.float32).reshape(-1, 4)
    return Finding(peaks, People(keypoints.reshape(-1, 2, 3), scores))


NOTHING = found([])
GONE = [np.nan, np.nan]


def test_a_network_agrees_with_itself(photo: PoseMaps) -> None:
    one = of(photo)
    assert len(one.people) > 2
    gate = judge([one], [one], THRESHOLD)
    assert (gate.map_error, gate.peak_agreement, gate.people_agreement) == (0, 1, 1)
    assert gate.passed
    assert gate.reason() is None


def test_map_error_is_relative_and_of_the_worse_map(photo: PoseMaps) -> None:
    a = Finding(NOTHING.peaks, NOTHING.people, photo)
    b = replace(a, maps=PoseMaps(photo.cmap * 1.01, photo.paf * 1.2))
    assert map_error([(a, b)]) == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_maps_that_are_not_finite_fail(photo: PoseMaps, bad: float) -> None:
    cmap = photo.cmap.copy()
    cmap[3, 2, 1] = bad
    gate = judge([of(photo)], [of(PoseMaps(cmap, photo.paf))], THRESHOLD)
    assert gate.map_error == np.inf
    assert not gate.passed


def test_a_network_that_finds_nothing_any_more_fails(photo: PoseMaps) -> None:
    dead = of(PoseMaps(photo.cmap * 0, photo.paf * 0))
    gate = judge([of(photo)], [dead], THRESHOLD)
    assert (gate.peak_agreement, gate.people_agreement) == (0, 0)
    assert gate.reason() == (
        "over 1 pictures: map error 1.000 (at most 0.25), peak agreement 0.000 (at least 0.87), "
        "people agreement 0.000 (at least 0.85)"
    )


def test_where_both_find_nothing_the_maps_decide() -> None:
    maps = PoseMaps(np.full((18, 8, 8), 0.01, np.float32), np.full((42, 8, 8), 0.01, np.float32))
    other = PoseMaps(maps.cmap * 1.5, maps.paf)
    same, changed = judge([of(maps)], [of(maps)], 0.1), judge([of(maps)], [of(other)], 0.1)
    assert same.passed
    assert (changed.peak_agreement, changed.people_agreement) == (1, 1)
    assert changed.reason() == "over 1 pictures: map error 0.500 (at most 0.25)"


def test_peaks_agree_within_a_cell_of_the_same_type() -> None:
    reference = found([(0, 5.0, 5.0, 0.9), (1, 9.0, 9.0, 0.9)])
    near = found([(0, 5.9, 4.1, 0.8), (1, 9.0, 9.0, 0.9)])
    far = found([(0, 6.2, 5.0, 0.9), (1, 9.0, 9.0, 0.9)])
    other_type = found([(2, 5.0, 5.0, 0.9), (1, 9.0, 9.0, 0.9)])
    assert peak_agreement([(reference, near)], THRESHOLD) == 1
    assert peak_agreement([(reference, far)], THRESHOLD) == 0.5
    assert peak_agreement([(reference, other_type)], THRESHOLD) == 0.5


def test_faint_peaks_may_come_and_go_and_clear_ones_may_fade() -> None:
    reference = found([(0, 5, 5, 0.9), (1, 9, 9, 0.15)])
    candidate = found([(0, 5, 5, 0.11), (1, 20, 20, 0.15)])
    assert peak_agreement([(reference, candidate)], THRESHOLD) == 1
    assert peak_agreement([(reference, found([]))], THRESHOLD) == 0
    invented = found([(0, 5, 5, 0.9), (0, 30, 30, 0.9), (0, 40, 40, 0.9)])
    assert peak_agreement([(reference, invented)], THRESHOLD) == 0.5


def test_of_too_many_peaks_those_of_the_parser_are_held_against_each_other(
    photo: PoseMaps,
) -> None:
    scores = of(photo).peaks[of(photo).peaks[:, 0] == 0, 3]
    assert scores[0] < scores.max()
    strongest = finding(photo, TOPOLOGY, replace(SETTINGS, max_peaks=1)).peaks
    first = finding(photo, TOPOLOGY, replace(SETTINGS, max_peaks=1, reference=True)).peaks
    assert (strongest[0, 3], first[0, 3]) == (scores.max(), scores[0])


def test_limbs_that_go_to_another_person_count_twice() -> None:
    """Two people of two keypoints; the candidate swaps one keypoint between them."""
    a, b = [[1, 1], [1, 9]], [[20, 1], [20, 9]]
    swapped = [[1, 1], [20, 9]], [[20, 1], [1, 9]]
    assert people_agreement([(found([], a, b), found([], b, a))]) == 1  # in another order
    assert people_agreement([(found([], a, b), found([], *swapped))]) == 0.5
    assert people_agreement([(found([], a, b), found([], a))]) == pytest.approx(4 / 6)
    assert people_agreement([(found([], a), found([], [[1, 1], GONE]))]) == pytest.approx(2 / 3)
    assert people_agreement([(NOTHING, NOTHING)]) == 1
    assert people_agreement([(NOTHING, found([], a))]) == 0


def test_pictures_are_taken_together() -> None:
    """An empty picture neither helps nor hurts."""
    person = [[1, 1], [1, 9]]
    pairs = [(found([], person), found([], [[1, 1], GONE])), (NOTHING, NOTHING)]
    assert people_agreement(pairs) == pytest.approx(2 / 3)


def test_the_compact_form_is_judged_without_maps() -> None:
    peaks = np.zeros((18, 4, 3), np.float32)
    peaks[0, 0] = peaks[17, 0] = 4.5, 6.5, 0.9
    counts = np.zeros(18, np.int64)
    counts[[0, 17]] = 1
    one = finding(PoseTensors(peaks, counts, np.zeros((21, 4, 4), np.float32)), TOPOLOGY, SETTINGS)
    assert one.peaks.tolist() == pytest.approx(np.array([[0, 4.5, 6.5, 0.9], [17, 4.5, 6.5, 0.9]]))
    gate = judge([one], [one], THRESHOLD)
    assert gate.map_error is None
    assert gate.passed


@pytest.mark.parametrize(("candidate", "passed"), [(0.267, True), (0.266, False)])
def test_ap_may_fall_by_a_point(candidate: float, passed: bool) -> None:
    gate = judge([NOTHING], [NOTHING], THRESHOLD, ap=(0.277, candidate))
    assert gate.passed is passed
    wanted = None if passed else "over 1 pictures: AP 0.2660 (at least 0.2670)"
    assert gate.reason() == wanted


def test_no_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="accuracy gate: got 0 pictures"):
        judge([], [], THRESHOLD)


@pytest.fixture(scope="module")
def judged() -> Callable[[str], Gate]:
    """The gate of pose-small in each precision, on frames of the shipped clip."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    card = find_card("pose-small")
    folder = shipped("models") / "pose-small"
    network = onnx.load(str(folder / "pose-small.onnx"))
    frames = [fit(p, card.input, 384, card.outputs.stride)[0] for p in shipped_pictures(4)]
    pictures = [normalise(frame[None], card.input) for frame in frames]
    black = [np.full_like(pictures[0], -2)]

    def findings(model: onnx.ModelProto) -> list[Finding]:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        outputs: list[list[Float32]] = [
            session.run(["cmap", "paf"], {"input": picture}) for picture in pictures
        ]
        settings = replace(SETTINGS, threshold=card.parser.threshold, link_threshold=0.03)
        return [finding(PoseMaps(c[0], p[0]), TOPOLOGY, settings) for c, p in outputs]

    references = findings(network)
    made: dict[str, tuple[Callable[[], onnx.ModelProto], GateLimits | None]] = {
        "fp16": (lambda: to_fp16(network), FP16_LIMITS),
        "int8": (lambda: to_int8(network, pictures, target="cpu"), None),
        "int8 as shipped": (lambda: onnx.load(str(folder / "pose-small.int8.onnx")), None),
        "int8 of black pictures": (lambda: to_int8(network, black, target="cpu"), None),
    }

    def gate_of(name: str) -> Gate:
        make, limits = made[name]
        return judge(references, findings(make()), card.parser.threshold, limits)

    return gate_of


@pytest.mark.parametrize("name", ["fp16", "int8", "int8 as shipped"])
def test_good_engines_pass(judged: Callable[[str], Gate], name: str) -> None:
    gate = judged(name)
    assert gate.passed, gate.reason()
    assert gate.people_agreement > 0.95  # far from the limit
    assert gate.map_error is not None
    assert gate.map_error < (0.01 if name == "fp16" else 0.12)


def test_a_broken_engine_does_not_pass(judged: Callable[[str], Gate]) -> None:
    broken = judged("int8 of black pictures")
    assert not broken.passed
    assert broken.people_agreement < 0.5
