"""One JSON line a frame, frames without people included; a missing keypoint is null."""

from __future__ import annotations

import json
import math
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from posert.postprocess.peaks import Mask
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import TextFile
from posert.types import People, Result

_STEPS: Final = np.array([100, 100, 10_000])  # of 1: how finely x, y and score are rounded
_MASKS: Final = 1024  # sets of found keypoints whose text is kept at hand


class JsonLines:
    """``{"source", "frame", "time", "age", "width", "height", "people": [...]}``.

    ``time`` is in seconds from the source's first frame. ``age``, which only frames of live
    sources have, is how many seconds ago the frame arrived. ``width`` and ``height``, pixels, are
    the frame's own: a live source's may change. A person is ``{"score", "keypoints"}``, and each
    keypoint, by its name, [x px, y px, score].
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self._names = [json.dumps(name).replace("%", "%%") for name in topology.keypoints]
        self._person = lru_cache(_MASKS)(self._template)
        self._encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
        self._file = TextFile(path)

    def write(self, result: Result) -> None:
        frame = result.frame
        line: dict[str, Any] = {
            "source": result.source.name,
            "frame": frame.index,
            "time": round(frame.time_s, 6),
        }
        if not math.isnan(frame.seen_s):
            line["age"] = round(time.monotonic() - frame.seen_s, 4)
        line["width"], line["height"] = frame.size
        head = self._encode(line).removesuffix("}")
        self._file.write(f'{head}, "people": [{self._people(result.people)}]}}\n')

    def close(self) -> None:
        self._file.close()

    def _people(self, people: People) -> str:
        """All people as JSON, in one formatting: an encoder walking them takes thrice the time.

        float64 holds these products of float32 exactly, so that they round as ``round`` does.
        """
        found: Mask = np.logical_and.reduce(np.isfinite(people.keypoints), axis=2)
        keypoints = np.rint(people.keypoints.astype(np.float64) * _STEPS) / _STEPS
        scores = np.rint(people.scores.astype(np.float64) * _STEPS[2]) / _STEPS[2]
        per_person = len(people), 3 * len(self._names)
        numbers = np.concatenate([scores[:, None], keypoints.reshape(per_person)], axis=1)
        listed = np.ones(numbers.shape, bool)
        listed[:, 1:] = found.repeat(3, axis=1)
        text = ", ".join([self._person(mask.tobytes()) for mask in found])
        return text % tuple(numbers[listed].tolist())

    def _template(self, found: bytes) -> str:
        """A person with these keypoints (C bytes, 0 or 1) and ``%r`` for each number."""
        keypoints = [
            f"{name}: [%r, %r, %r]" if there else f"{name}: null"
            for name, there in zip(self._names, found, strict=True)
        ]
        return f'{{"score": %r, "keypoints": {{{", ".join(keypoints)}}}}}'
