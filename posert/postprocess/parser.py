"""From a network's maps to people: the specification of PoseRT's post-processing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import numpy.typing as npt

from posert.postprocess.group import assemble, assign, connect
from posert.postprocess.links import score_links
from posert.postprocess.peaks import find_peaks, refine_peaks
from posert.postprocess.topology import Topology
from posert.types import Float32, People


@dataclass(frozen=True, slots=True)
class ParserSettings:
    """How maps are parsed; a model's card holds the values that fit its network.

    Raises:
        ValueError: a value is out of its range; the message names it and what is expected.
    """

    threshold: float = 0.1  # least confidence of a peak, above 0
    window: int = 5  # side of the square a peak is the largest of and refined in, cells, odd
    samples: int = 7  # points read along a link, at least 2
    link_threshold: float = 0.1  # a link survives if its score is larger, at least 0
    max_peaks: int = 20  # most peaks of one keypoint type
    max_people: int = 100  # most people of a picture
    reference: bool = True  # exactly trt_pose's parser

    def __post_init__(self) -> None:
        _check_number("threshold", self.threshold, self.threshold > 0, "above 0")
        _check_number("link_threshold", self.link_threshold, self.link_threshold >= 0, "0 or more")
        _check_count("window", self.window, 1)
        if self.window % 2 == 0:
            raise ValueError(f"window={self.window}: expected an odd number of cells")
        _check_count("samples", self.samples, 2)
        _check_count("max_peaks", self.max_peaks, 1)
        _check_count("max_people", self.max_people, 1)


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
    reference: bool = True,
) -> People:
    """Find the people in the maps of one picture.

    With ``reference`` the result is that of trt_pose's own parser, ties and all; without it, that
    of PoseRT's better one (docs/parser.md). Values of the maps that are not finite count as 0.

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
        reference: exactly trt_pose's parser.

    Returns:
        People with keypoints float32 (P, C, 3) of x, y in map cells (a cell's centre is at + 0.5)
        and the confidence at the peak; NaN where missing.

    Raises:
        ValueError: maps that do not fit the topology or each other, or a setting out of range.
    """
    settings = ParserSettings(
        threshold, window, samples, link_threshold, max_peaks, max_people, reference
    )
    return parse(*_checked(cmap, paf, topology), topology, settings)


def parse(cmap: Float32, paf: Float32, topology: Topology, settings: ParserSettings) -> People:
    """``parse_maps`` for maps already checked: float32, finite, of the topology's channels."""
    peaks = find_peaks(cmap, settings.threshold, settings.window, settings.max_peaks)
    peaks = refine_peaks(peaks, cmap, settings.window)
    scores = score_links(paf, peaks, topology, settings.samples)
    pairs = assign(scores, settings.link_threshold, reference=settings.reference)
    members = connect(pairs, peaks, topology)
    return assemble(members, peaks, settings.max_people)


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


def _check_number(name: str, value: float, in_range: bool, expected: str) -> None:
    if not (math.isfinite(value) and in_range):
        raise ValueError(f"{name}={value}: expected a finite number, {expected}")


def _check_count(name: str, value: int, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value}: expected a whole number, at least {least}")
