"""From the compact form's peaks and link scores to people: the host's half of the parser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posert.postprocess.links import Pairs, all_pairs
from posert.postprocess.parser import group
from posert.postprocess.peaks import Peaks, within_cap
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.types import Float32, Int64, People, PoseTensors


def parse_tensors(tensors: PoseTensors, topology: Topology, settings: ParserSettings) -> People:
    """Find the people in what the compact form says of one picture: ``parse_batch`` of one."""
    (people,) = parse_batch([tensors], topology, settings)
    return people


def parse_batch(
    tensors: Sequence[PoseTensors], topology: Topology, settings: ParserSettings
) -> list[People]:
    """Find the people in what the compact form says of pictures, all of one graph.

    They are those that ``parse`` finds in the maps of each picture with the same settings. Of
    these, ``window``, ``samples`` and ``reference`` must be those of the graph. ``threshold`` and
    ``max_peaks`` may be stricter than the graph's: peaks below the threshold, and those beyond
    the cap, are left out here. ``link_threshold`` and the settings of people act here alone.

    Where the graph has reached its own cap M, stricter settings differ in two respects: of the
    peaks beyond it, none of which is listed, those below the higher threshold count as left out
    too, and with ``reference`` none of them takes the place of one that a higher threshold drops.

    A peak whose score is not finite counts as 0 and so as none, a link score likewise.

    Many pictures in one call are faster than one by one: most of the time of one is that of
    some hundred calls of NumPy, whatever the size of their arrays.

    Raises:
        ValueError: the tensors do not fit the topology or each other.
    """
    if not tensors:
        return []
    held = max(each.peaks.shape[1] if each.peaks.ndim == 3 else 0 for each in tensors)
    for each in tensors:
        _check(each, topology, held)
    listed = np.stack([each.peaks for each in tensors])
    counts = np.stack([each.counts for each in tensors])
    peaks, places = _peaks(listed, counts, settings)
    pairs = all_pairs(peaks, topology)
    scores = _scores([each.link_scores for each in tensors], pairs, places)
    return group(peaks, pairs, scores, topology, settings)


def _peaks(listed: Float32, counts: Int64, settings: ParserSettings) -> tuple[Peaks, Int64]:
    """The n peaks that are there, and the place of each in its type's list, int64 (n,).

    Args:
        listed: (N, C, M, 3).
        counts: (N, C).
        settings: threshold, max_peaks and reference are used.
    """
    pictures, kinds, held, _ = listed.shape
    strongest = not settings.reference
    with np.errstate(invalid="ignore"):  # of a score that is not a number: it is not enough
        enough = listed[..., 2] >= np.float32(settings.threshold)
    wanted = np.flatnonzero(enough & (np.arange(held) < counts[..., None]))
    rows = listed.reshape(-1, 3)[wanted]
    finite = np.isfinite(rows).all(axis=1)
    rows, (types, places) = rows[finite], np.divmod(wanted[finite], held)
    found = np.bincount(types, minlength=pictures * kinds).reshape(pictures, kinds)
    beyond = np.maximum(counts - held, 0)
    if strongest:  # those are weaker than all that are listed, of which some may not be wanted
        beyond[found < held] = 0
    kept = within_cap(types, rows[:, 2], found.ravel(), settings.max_peaks, strongest=strongest)
    capped = np.minimum(found, settings.max_peaks)
    rows = rows[kept]
    with np.errstate(invalid="ignore"):  # trt_pose's mean may place a peak at 1e30
        cells = rows[:, :2].astype(np.int64)
    peaks = Peaks(
        kinds=types[kept] % kinds,
        cells=cells,
        points=rows[:, :2],
        scores=rows[:, 2],
        starts=np.concatenate([[0], np.cumsum(capped)]),
        left_out=tuple((beyond + found - capped).sum(axis=1).tolist()),
    )
    return peaks, places[kept]


def _scores(link_scores: Sequence[Float32], pairs: Pairs, places: Int64) -> Float32:
    """Link scores of the pairs, float32 (n,), of all that the graph gave of each picture.

    Args:
        link_scores: N of (K, M, M), most of which no pair asks for: they are not copied.
        pairs: n pairs of peaks.
        places: the place of each peak in its type's list.
    """
    links, held, _ = link_scores[0].shape
    cells = (pairs.tables % max(links, 1) * held + places[pairs.a]) * held + places[pairs.b]
    in_table = pairs.shapes[:, 0] * pairs.shapes[:, 1]
    ends = np.cumsum(in_table.reshape(len(link_scores), links).sum(axis=1))
    wanted = zip(link_scores, np.split(cells, ends[:-1]), strict=True)
    scores = np.concatenate([of_picture.take(where) for of_picture, where in wanted])
    return np.where(np.isfinite(scores), scores, np.float32(0))


def _check(tensors: PoseTensors, topology: Topology, held: int) -> None:
    c, k = len(topology.keypoints), len(topology.links)
    wanted = {"peaks": (c, held, 3), "counts": (c,), "link_scores": (k, held, held)}
    for name, shape in wanted.items():
        got = getattr(tensors, name).shape
        if got != shape:
            raise ValueError(
                f"{name} has shape {got}: expected {shape} for topology {topology.name!r}"
            )
