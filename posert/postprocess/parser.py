"""From a network's maps to people: the specification of PoseRT's post-processing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posert.postprocess.group import assemble, assign, connect, mean_confidence, picture_of
from posert.postprocess.grow import choose_links, grow_people
from posert.postprocess.links import Pairs, all_pairs, score_links, smooth_fields
from posert.postprocess.peaks import Peaks, find_peaks, fit_peaks, refine_peaks
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64, People

AGREEMENT = 0.7  # of a link's points must lie in its field: fewer limbs from person to person


def parse_maps(
    cmap: npt.ArrayLike,
    paf: npt.ArrayLike,
    topology: Topology,
    *,
    threshold: float = 0.1,
    window: int = 5,
    samples: int = 7,
    link_threshold: float = 0.1,
    max_peaks: int = 20,
    max_people: int = 100,
    min_parts: int = 1,
    min_score: float = 0.0,
    reference: bool = True,
) -> People:
    """Find the people in the maps of one picture.

    With ``reference`` the result is that of trt_pose's own parser, ties and all; without it, that
    of PoseRT's better one (docs/parser.md), which wants thresholds of its own.
    Values of the maps that are not finite count as 0.

    Args:
        cmap: (C, h, w) confidence of each keypoint type; cast to float32.
        paf: (2K, h, w) part affinity fields; cast to float32.
        topology: C keypoints and K links.
        threshold: least confidence of a peak.
        window: side of the square a peak is the largest of and refined in, cells, odd.
        samples: points read along a link.
        link_threshold: a link survives if its score is larger.
        max_peaks: most peaks of one keypoint type; what is beyond is counted in ``capped``.
        max_people: most people; what is beyond is counted in ``capped``.
        min_parts: fewest keypoints of a person.
        min_score: least person score.
        reference: exactly trt_pose's parser.

    Returns:
        People with keypoints float32 (P, C, 3) of x, y in map cells (a cell's centre is at + 0.5)
        and the confidence at the peak; NaN where missing. Person scores are the sum of the
        peaks' over C with ``reference`` (people in trt_pose's order), else the sum of the links'
        over K (best people first).

    Raises:
        ValueError: maps that do not fit the topology or each other, or a setting out of range.
    """
    settings = ParserSettings(
        threshold=threshold,
        window=window,
        samples=samples,
        link_threshold=link_threshold,
        max_peaks=max_peaks,
        max_people=max_people,
        min_parts=min_parts,
        min_score=min_score,
        reference=reference,
    )
    return parse(cmap, paf, topology, settings)


def parse(
    cmap: npt.ArrayLike, paf: npt.ArrayLike, topology: Topology, settings: ParserSettings
) -> People:
    """Do what ``parse_maps`` does, with its settings in one value."""
    chosen = _parse_as_trt_pose if settings.reference else _parse
    return chosen(*_checked(cmap, paf, topology), topology, settings)


def _parse_as_trt_pose(
    cmap: Float32, paf: Float32, topology: Topology, settings: ParserSettings
) -> People:
    peaks = find_peaks(cmap, settings.threshold, settings.window, settings.max_peaks)
    peaks = refine_peaks(peaks, cmap, settings.window)
    pairs = all_pairs(peaks, topology)
    scores = score_links(paf, peaks, pairs, topology, settings.samples)
    (people,) = group(peaks, pairs, scores, topology, settings)
    return people


def _parse(cmap: Float32, paf: Float32, topology: Topology, settings: ParserSettings) -> People:
    peaks = find_peaks(
        cmap, settings.threshold, settings.window, settings.max_peaks, strongest=True
    )
    peaks = fit_peaks(peaks, cmap)
    pairs = all_pairs(peaks, topology)
    fields = smooth_fields(paf)
    scores = score_links(fields, peaks, pairs, topology, settings.samples, AGREEMENT)
    (people,) = group(peaks, pairs, scores, topology, settings)
    return people


def group(
    peaks: Peaks, pairs: Pairs, scores: Float32, topology: Topology, settings: ParserSettings
) -> list[People]:
    """The people of peaks and link scores, wherever those come from: the parser's second half.

    Args:
        peaks: those of N pictures.
        pairs: n pairs of them, all that the topology's links may join.
        scores: float32 (n,), link scores, finite.
        topology: C keypoints and K links.
        settings: link_threshold, max_people, min_parts, min_score and reference are used.

    Returns:
        The people of each picture, N.
    """
    if settings.reference:
        chosen = assign(pairs, scores, settings.link_threshold, reference=True)
        members = connect(np.stack([pairs.a[chosen], pairs.b[chosen]], axis=1), peaks)
        return assemble(members, mean_confidence(members, peaks), peaks, settings)
    links = choose_links(pairs, scores, peaks, settings.link_threshold)
    members, support = grow_people(links, peaks)
    return assemble(*best_first(members, support, peaks, topology), peaks, settings)


def best_first(
    members: Int64, support: Float32, peaks: Peaks, topology: Topology
) -> tuple[Int64, Float32]:
    """People and their scores, sorted in each picture: links' support averaged over all K links.

    How well its links agree with the fields tells a person from a ghost better than how high its
    peaks are; those decide among people without links.
    """
    confidence = mean_confidence(members, peaks)
    scores = support / np.float32(len(topology.links)) if topology.links else confidence
    order = np.lexsort((-confidence, -scores, picture_of(members, peaks)))
    return members[order], scores[order]


def _checked(
    cmap: npt.ArrayLike, paf: npt.ArrayLike, topology: Topology
) -> tuple[Float32, Float32]:
    """Both maps as float32, C-contiguous and finite; the caller's arrays stay as they are."""
    maps = _as_finite("cmap", cmap), _as_finite("paf", paf)
    channels = len(topology.keypoints), int(topology.rows[:, :2].max(initial=-1)) + 1
    if len(maps[0]) != channels[0]:
        raise ValueError(
            f"cmap has {len(maps[0])} channels: expected {channels[0]}, one for each keypoint "
            f"of topology {topology.name!r}"
        )
    if len(maps[1]) < channels[1]:
        raise ValueError(
            f"paf has {len(maps[1])} channels: expected {channels[1]} for the "
            f"{len(topology.links)} links of topology {topology.name!r}"
        )
    if maps[0].shape[1:] != maps[1].shape[1:]:
        raise ValueError(
            f"cmap and paf differ in size: {maps[0].shape[1:]} and {maps[1].shape[1:]}; "
            "expected maps of one picture, (C, h, w) and (2K, h, w)"
        )
    return maps


def _as_finite(name: str, values: npt.ArrayLike) -> Float32:
    given = np.asarray(values)
    if given.dtype.kind not in "fiu":
        raise ValueError(f"{name} is of dtype {given.dtype}: expected real numbers, as float32")
    if given.ndim != 3 or 0 in given.shape:
        raise ValueError(
            f"{name} has shape {given.shape}: expected (channels, h, w), none of them 0; "
            "take one picture of a batch"
        )
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, then 0
        array = np.ascontiguousarray(given, dtype=np.float32)
    finite = np.isfinite(array)
    return array if finite.all() else np.where(finite, array, np.float32(0))
