"""COCO keypoint results: one JSON array over all frames, written as it grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from posert.postprocess.formats import COCO, coco_entry, order_of
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, TextFile
from posert.types import People, Result

# of each frame: the number in its file's name, and its people, each from after its image_id
Entries: TypeAlias = list[tuple[int | None, list[str]]]


class CocoEntries:
    """``{"image_id", "category_id": 1, "keypoints": [51 numbers], "score", "track_id"}``.

    The format writes a missing keypoint as 0, 0, 0. ``track_id``, as PoseTrack calls it, only
    people have who are followed and whose id is sure.

    Raises:
        ConfigError: the topology lacks one of COCO's 17 keypoints.
    """

    def __init__(self, topology: Topology) -> None:
        self._order = order_of(topology, COCO, "COCO results")

    def pack(self, results: Sequence[Result]) -> Entries:
        return [(_number(result), self._people(result.people)) for result in results]

    def _people(self, people: People) -> list[str]:
        ids = people.ids.tolist() if people.ids is not None else [0] * len(people)
        entries = []
        for keypoints, score, who in zip(people.keypoints, people.scores, ids, strict=True):
            entry = coco_entry(0, keypoints[self._order], float(score))
            del entry["image_id"]  # who writes the file counts the frames
            if who:
                entry["track_id"] = who
            entries.append(json.dumps(entry)[1:])
        return entries


class CocoResults(DataSink[Entries]):
    """A file of one JSON array of such entries.

    ``image_id`` is the number in a picture's file name, as COCO names its files, and else the
    count of frames before.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        entries = CocoEntries(topology)
        super().__init__(entries, _CocoFile(path))


class _CocoFile:
    def __init__(self, path: Path) -> None:
        self._file = TextFile(path)
        self._file.write("[")
        self._separator = "\n"
        self._count = 0

    def write(self, packed: Entries, /) -> None:
        text = ""
        for number, people in packed:
            image_id = self._count if number is None else number
            self._count += 1
            for person in people:
                text += f'{self._separator}{{"image_id": {image_id}, {person}'
                self._separator = ",\n"
        self._file.write(text)

    def close(self) -> None:
        self._file.close("\n]\n")


def _number(result: Result) -> int | None:
    stem = Path(result.source.name).stem
    return int(stem) if result.source.still and stem.isdigit() else None
