"""Reads the golden files: maps and what trt_pose's own parser makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posert.postprocess import ParserSettings
from posert.postprocess.topology import Topology
from posert.types import Float32

FILES = sorted((Path(__file__).parents[1] / "golden").glob("*.npz"))


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """One golden file."""

    cmap: Float32
    paf: Float32
    topology: Topology
    settings: ParserSettings
    wanted: dict[str, Any]  # name of an intermediate -> its array


def read(path: Path) -> Golden:
    """Read a golden file; maps as float32, which is what trt_pose saw."""
    with np.load(path) as file:
        arrays = dict(file)
    cmap = arrays.pop("cmap").astype(np.float32)
    names = [f"keypoint {index}" for index in range(len(cmap))]
    return Golden(
        cmap,
        arrays.pop("paf").astype(np.float32),
        Topology.from_rows(path.stem, names, arrays.pop("topology")),
        ParserSettings(**json.loads(str(arrays.pop("params")))),
        arrays,
    )
