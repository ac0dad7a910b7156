"""Which keypoints a network finds, and which pairs of them its part affinity fields link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from posert.types import Int64


@dataclass(frozen=True)
class Topology:
    """Keypoint names and links of a network.

    Link k joins keypoint ``links[k][0]`` to ``links[k][1]`` (0-based) and is described by the PAF
    channels ``paf_channels[k]`` = (y component, x component).
    """

    name: str
    keypoints: tuple[str, ...]  # C names
    links: tuple[tuple[int, int], ...]  # K pairs
    paf_channels: tuple[tuple[int, int], ...]  # K pairs (y, x)

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        if len(self.links) != len(self.paf_channels):
            raise ValueError(
                f"topology {self.name!r} has {len(self.links)} links and channels for "
                f"{len(self.paf_channels)}: expected a pair of PAF channels for each link"
            )
        for link in self.links:
            if not all(0 <= keypoint < count for keypoint in link):
                raise ValueError(
                    f"topology {self.name!r} links {link}: expected keypoints 0..{count - 1}"
                )

    @classmethod
    def from_rows(cls, name: str, keypoints: Sequence[str], rows: npt.ArrayLike) -> Topology:
        """Read trt_pose's tensor: (K, 4) of (paf y, paf x, keypoint a, keypoint b)."""
        table = np.asarray(rows, np.int64).reshape(-1, 4).tolist()
        return cls(
            name,
            tuple(keypoints),
            tuple((a, b) for _, _, a, b in table),
            tuple((y, x) for y, x, _, _ in table),
        )

    @cached_property
    def rows(self) -> Int64:
        """trt_pose's topology tensor: int64 (K, 4) of (paf y, paf x, keypoint a, keypoint b)."""
        return np.concatenate(
            [
                np.asarray(self.paf_channels, np.int64).reshape(-1, 2),
                np.asarray(self.links, np.int64).reshape(-1, 2),
            ],
            axis=1,
        )
