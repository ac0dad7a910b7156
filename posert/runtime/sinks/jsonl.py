"""One JSON line a frame, frames without people included; a missing keypoint is null."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, TextFile
from posert.types import Int64, People, Result

_STEPS: Final = np.array([100, 100, 10_000])  # of 1: how finely x, y and score are rounded


class JsonLinesFormat:
    """``{"source", "frame", "time", "age", "width", "height", "people": [...]}``.

    ``time`` is in seconds from the source's first frame. ``age``, which only frames of live
    sources have, is how many seconds ago the frame arrived. ``width`` and ``height``, pixels, are
    the frame's own: a live source's may change. A person is ``{"id", "score", "keypoints"}``, and
    each keypoint, by its name, [x px, y px, score]. ``id``, which only people that are followed
    have, is null while it is not sure yet.
    """

    def __init__(self, topology: Topology) -> None:
        self._names = topology.keypoints

    def pack(self, results: Sequence[Result]) -> str:
        lines = [
            orjson.dumps(self._line(result), option=orjson.OPT_APPEND_NEWLINE) for result in results
        ]
        return b"".join(lines).decode()

    def _line(self, result: Result) -> dict[str, Any]:
        frame = result.frame
        line: dict[str, Any] = {
            "source": result.source.name,
            "frame": frame.index,
            "time": round(frame.time_s, 6),
        }
        if not math.isnan(frame.seen_s):
            line["age"] = round(time.monotonic() - frame.seen_s, 4)
        line["width"], line["height"] = frame.size
        line["people"] = self._people(result.people)
        return line

    def _people(self, people: People) -> list[dict[str, Any]]:
        """Rounded as ``round`` does: float64 holds these products of float32 exactly."""
        keypoints = np.rint(people.keypoints.astype(np.float64) * _STEPS) / _STEPS
        scores = np.rint(people.scores.astype(np.float64) * _STEPS[2]) / _STEPS[2]
        ids = [{}] * len(people) if people.ids is None else _ids(people.ids)
        return [
            {
                **who,
                "score": score,
                "keypoints": {
                    name: None if keypoint[0] != keypoint[0] else keypoint
                    for name, keypoint in zip(self._names, person, strict=True)
                },
            }
            for who, score, person in zip(ids, scores.tolist(), keypoints.tolist(), strict=True)
        ]


def _ids(ids: Int64) -> list[dict[str, int | None]]:
    return [{"id": number or None} for number in ids.tolist()]


class JsonLines(DataSink[str]):
    """A file of such lines."""

    def __init__(self, path: Path, topology: Topology) -> None:
        super().__init__(JsonLinesFormat(topology), TextFile(path))
