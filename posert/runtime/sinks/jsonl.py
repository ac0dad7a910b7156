"""One JSON line a frame, frames without people included; a missing keypoint is null."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import TextFile
from posert.types import Float32, Result


class JsonLines:
    """``{"source", "frame", "time", "width", "height", "people": [{"score", "keypoints"}]}``.

    ``time`` is in seconds from the source's first frame; each keypoint is [x px, y px, score].
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self._names = topology.keypoints
        self._file = TextFile(path)

    def write(self, result: Result) -> None:
        people = zip(result.people.keypoints, result.people.scores, strict=True)
        line = {
            "source": result.source.name,
            "frame": result.frame.index,
            "time": round(result.frame.time_s, 6),
            "width": result.source.width,
            "height": result.source.height,
            "people": [
                {"score": round(float(score), 4), "keypoints": self._named(keypoints)}
                for keypoints, score in people
            ],
        }
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        self._file.close()

    def _named(self, keypoints: Float32) -> dict[str, Any]:
        return {
            name: None if x != x else [round(x, 2), round(y, 2), round(score, 4)]
            for name, (x, y, score) in zip(self._names, keypoints.tolist(), strict=True)
        }
