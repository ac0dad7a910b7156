"""From the compact form's peaks and link scores to people: the host's half of the parser."""

from __future__ import annotations

import numpy as np

from posert.postprocess.links import all_pairs, by_link
from posert.postprocess.parser import group
from posert.postprocess.peaks import Peaks, within_cap
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.types import Int64, People, PoseTensors


def parse_tensors(tensors: PoseTensors, topology: Topology, settings: ParserSettings) -> People:
    """Find the people in what the compact form says of one picture.

    They are those that ``parse`` finds in the maps of that picture with the same settings. Of
    these, ``window``, ``samples`` and ``reference`` must be those of the graph. ``threshold`` and
    ``max_peaks`` may be stricter than the graph's: peaks below the threshold, and those beyond
    the cap, are left out here. ``link_threshold`` and the settings of people act here alone.

    Where the graph has reached its own cap M, stricter settings differ in two respects: of the
    peaks beyond it, none of which is listed, those below the higher threshold count as left out
    too, and with ``reference`` none of them takes the place of one that a higher threshold drops.

    A peak whose score is not finite counts as 0 and so as none, a link score likewise.

    Raises:
        ValueError: the tensors do not fit the topology or each other.
    """
    _check(tensors, topology)
    peaks, places = _peaks(tensors, settings)
    link, a, b = all_pairs(peaks, topology)
    scores = tensors.link_scores[link, places[a], places[b]]
    scores = np.where(np.isfinite(scores), scores, np.float32(0))
    return group(peaks, by_link(scores, peaks, topology), topology, settings)


def _peaks(tensors: PoseTensors, settings: ParserSettings) -> tuple[Peaks, Int64]:
    """The peaks that are there, and the place of each in its type's row, int64 (n,)."""
    rows, strongest = tensors.peaks, not settings.reference
    held = rows.shape[1]
    listed = np.arange(held) < tensors.counts[:, None]
    with np.errstate(invalid="ignore"):  # of a score that is not a number: it is not enough
        enough = rows[..., 2] >= np.float32(settings.threshold)
    wanted = listed & enough & np.isfinite(rows).all(axis=2)
    kinds, places = np.nonzero(wanted)
    found = wanted.sum(axis=1)
    beyond = np.maximum(tensors.counts - held, 0)
    if strongest:  # those are weaker than all that are listed, of which some may not be wanted
        beyond[found < held] = 0
    kept = within_cap(kinds, rows[kinds, places, 2], found, settings.max_peaks, strongest=strongest)
    counts = np.minimum(found, settings.max_peaks)
    chosen = rows[kinds[kept], places[kept]]
    with np.errstate(invalid="ignore"):  # trt_pose's mean may place a peak at 1e30
        cells = chosen[:, :2].astype(np.int64)
    peaks = Peaks(
        kinds=kinds[kept],
        cells=cells,
        points=chosen[:, :2],
        scores=chosen[:, 2],
        starts=np.concatenate([[0], np.cumsum(counts)]),
        left_out=int((beyond + found - counts).sum()),
    )
    return peaks, places[kept]


def _check(tensors: PoseTensors, topology: Topology) -> None:
    c, k = len(topology.keypoints), len(topology.links)
    m = tensors.peaks.shape[1] if tensors.peaks.ndim == 3 else 0
    wanted = {"peaks": (c, m, 3), "counts": (c,), "link_scores": (k, m, m)}
    for name, shape in wanted.items():
        got = getattr(tensors, name).shape
        if got != shape:
            raise ValueError(
                f"{name} has shape {got}: expected {shape} for topology {topology.name!r}"
            )
