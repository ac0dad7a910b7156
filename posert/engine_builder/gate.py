"""The accuracy gate: how near an engine comes to the fp32 network, from what both found.

Networks of heatmaps fail silently in 8 bits: they run, and find nobody. No engine is used before
it was held against the ONNX it came from, on pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from posert.errors import InputError
from posert.manifest import Gate, GateLimits
from posert.postprocess.parser import parse
from posert.postprocess.peaks import find_peaks, fit_peaks, refine_peaks
from posert.postprocess.settings import ParserSettings
from posert.postprocess.tensors import parse_tensors
from posert.postprocess.topology import Topology
from posert.types import Float32, People, PoseMaps, PoseOutput

_NEAR = 1.0  # cells, in y and in x: farther apart are two places
_CLEAR = 2.0  # times the threshold: fainter peaks come and go by a rounding
FP16_LIMITS = GateLimits(map_error=0.05, peak_agreement=0.95)  # its error is rounding alone


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What an engine found in one picture, in map cells."""

    peaks: Float32  # (n, 4) type, y, x, score
    people: People
    maps: PoseMaps | None = None  # None of the compact form


def finding(output: PoseOutput, topology: Topology, settings: ParserSettings) -> Finding:
    """What is found in an engine's ``output`` of one picture, of either form.

    Raises:
        ValueError: the output does not fit the topology.
    """
    if isinstance(output, PoseMaps):
        people = parse(output.cmap, output.paf, topology, settings)
        return Finding(_peaks_of_maps(output, settings), people, output)
    people = parse_tensors(output, topology, settings)
    held = np.arange(output.peaks.shape[1]) < output.counts[:, None]
    kinds, places = np.nonzero(held)
    return Finding(np.column_stack([kinds, output.peaks[kinds, places]]).astype("f4"), people)


def judge(
    references: Sequence[Finding],
    candidates: Sequence[Finding],
    threshold: float,
    limits: GateLimits | None = None,
    *,
    ap: tuple[float, float] | None = None,
) -> Gate:
    """Hold what an engine found against what the fp32 network found in the same pictures.

    Where neither finds anything they agree; then the error of the maps alone decides, and where
    there are no maps nothing does: judge those on pictures with people.

    Args:
        references: of the fp32 network.
        candidates: of the engine, picture by picture.
        threshold: the parser's least confidence of a peak.
        limits: what must be reached; those of INT8 where None.
        ap: COCO keypoint AP of the network and of the engine, where it was measured.

    Raises:
        InputError: there are no pictures.
    """
    pairs = list(zip(references, candidates, strict=True))
    if not pairs:
        raise InputError("accuracy gate", got="0 pictures", expected="at least 1")
    gate = Gate(
        pictures=len(pairs),
        people=sum(len(reference.people) for reference in references),
        map_error=map_error(pairs),
        peak_agreement=peak_agreement(pairs, threshold),
        people_agreement=people_agreement(pairs),
        ap_reference=ap[0] if ap else None,
        ap_candidate=ap[1] if ap else None,
        passed=False,
        limits=limits or GateLimits(),
    )
    return replace(gate, passed=gate.reason() is None)


Pairs = Sequence[tuple[Finding, Finding]]  # reference and candidate of each picture


def map_error(pairs: Pairs) -> float | None:
    """RMS of the difference over RMS of the reference, of the worse of cmap and paf.

    Infinite where the candidate's maps hold NaN or infinities; None where one side has no maps.
    """
    maps = [(a.maps, b.maps) for a, b in pairs if a.maps is not None and b.maps is not None]
    if len(maps) < len(pairs):
        return None
    return max(_relative([(getattr(a, n), getattr(b, n)) for a, b in maps]) for n in _MAPS)


_MAPS = ("cmap", "paf")


def peak_agreement(pairs: Pairs, threshold: float) -> float:
    """F1 of the peaks, each counted where it is clear: of twice the threshold or more.

    A clear peak of one side agrees where the other has a peak of the same type, clear or not,
    within a cell. 1 where neither side has one.
    """
    clear = np.float32(_CLEAR * threshold)
    agreed = total = 0
    for a, b in pairs:
        for one, other in ((a.peaks, b.peaks), (b.peaks, a.peaks)):
            strong = one[one[:, 3] >= clear]
            same = strong[:, None, 0] == other[None, :, 0]
            near = np.abs(strong[:, None, 1:3] - other[None, :, 1:3]).max(axis=2) <= _NEAR
            agreed += int((same & near).any(axis=1).sum())
            total += len(strong)
    return agreed / total if total else 1.0


def people_agreement(pairs: Pairs) -> float:
    """F1 of the keypoints of people, after each person is paired with the one most like it.

    A limb that went to another person counts as lost, and as wrong where it went. 1 where neither
    side has people.
    """
    agreed = total = 0
    for a, b in pairs:
        ours, theirs = a.people.keypoints[..., :2], b.people.keypoints[..., :2]
        with np.errstate(invalid="ignore"):  # NaN is a keypoint not found, near nothing
            near = np.abs(ours[:, None] - theirs[None]).max(axis=3, initial=0) <= _NEAR
        shared = near.sum(axis=2)  # (people, people)
        agreed += 2 * int(shared[linear_sum_assignment(-shared)].sum())
        total += sum(int(np.isfinite(k[..., 0]).sum()) for k in (ours, theirs))
    return agreed / total if total else 1.0


def _peaks_of_maps(maps: PoseMaps, settings: ParserSettings) -> Float32:
    cmap = np.asarray(maps.cmap, np.float32)
    cmap = np.where(np.isfinite(cmap), cmap, np.float32(0))
    strongest = not settings.reference  # as the parser has it
    found = find_peaks(
        cmap, settings.threshold, settings.window, settings.max_peaks, strongest=strongest
    )
    if settings.reference:
        found = refine_peaks(found, cmap, settings.window)
    else:
        found = fit_peaks(found, cmap)
    return np.column_stack([found.kinds, found.points, found.scores]).astype(np.float32)


def _relative(maps: Sequence[tuple[Float32, Float32]]) -> float:
    """Of all pictures together, so that one with nobody in it does not count for more."""
    with np.errstate(all="ignore"):  # NaN and infinities are judged below
        off = sum(float(np.square(b - a, dtype=np.float64).sum()) for a, b in maps)
        size = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in maps)
    if not np.isfinite(off):
        return float("inf")
    return float(np.sqrt(off / size)) if size else (0.0 if off == 0 else float("inf"))
