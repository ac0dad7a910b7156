"""COCO keypoint results: one JSON array over all frames, written as it grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from posert.postprocess.formats import COCO, coco_entry, order_of
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import TextFile
from posert.types import Result


class CocoResults:
    """``[{"image_id", "category_id": 1, "keypoints": [51 numbers], "score"}, ...]``.

    ``image_id`` is the number in a picture's file name, as COCO names its files, and else the
    count of frames before. Who is followed has a ``track_id`` too. The format writes a missing keypoint as 0, 0, 0.

    Raises:
        ConfigError: the topology lacks one of COCO's 17 keypoints.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self._order = order_of(topology, COCO, "COCO results")
        self._file = TextFile(path)
        self._file.write("[")
        self._separator = "\n"
        self._count = 0

    def write(self, results: Sequence[Result]) -> None:
        self._file.write("".join(self._entries(result) for result in results))

    def _entries(self, result: Result) -> str:
        stem = Path(result.source.name).stem
        image_id = int(stem) if result.source.still and stem.isdigit() else self._count
        self._count += 1
        found = result.people
        ids = [0] * len(found) if found.ids is None else found.ids.tolist()
        text = ""
        for i, keypoints, score in zip(ids, found.keypoints, found.scores, strict=True):
            entry = coco_entry(image_id, keypoints[self._order], float(score))
            entry |= {"track_id": i} if i else {}
            text += self._separator + json.dumps(entry)
            self._separator = ",\n"
        return text

    def close(self) -> None:
        self._file.close("\n]\n")
