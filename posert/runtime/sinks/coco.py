"""COCO keypoint results: one JSON array over all frames, written as it grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

from posert.postprocess.formats import COCO, coco_entry, order_of
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, TextFile
from posert.types import People, Result

_MOST_KNOWN: Final = 100_000  # people at once: who was not seen for long does not come back


@dataclass(frozen=True, slots=True)
class FrameEntries:
    """What one frame adds to the file, but for the numbers that only the file knows."""

    source: str
    number: int | None  # in its file's name
    people: list[tuple[int, str]]  # id in the source, 0: none; the entry from after its image_id


Entries: TypeAlias = list[FrameEntries]


class CocoEntries:
    """``{"image_id", "category_id": 1, "keypoints": [51 numbers], "score", "track_id"}``.

    The format writes a missing keypoint as 0, 0, 0. ``track_id``, as PoseTrack calls it, only
    people have who are followed and whose id is sure; two sources never share one.

    Raises:
        ConfigError: the topology lacks one of COCO's 17 keypoints.
    """

    def __init__(self, topology: Topology) -> None:
        self._order = order_of(topology, COCO, "COCO results")

    def pack(self, results: Sequence[Result]) -> Entries:
        return [
            FrameEntries(result.source.name, _number(result), self._people(result.people))
            for result in results
        ]

    def _people(self, people: People) -> list[tuple[int, str]]:
        ids = people.ids.tolist() if people.ids is not None else [0] * len(people)
        entries = []
        for keypoints, score, who in zip(people.keypoints, people.scores, ids, strict=True):
            entry = coco_entry(0, keypoints[self._order], float(score))
            del entry["image_id"]  # who writes the file counts the frames
            entries.append((who, json.dumps(entry)[1:-1]))
        return entries


class CocoResults(DataSink[Entries]):
    """A file of one JSON array of such entries.

    ``image_id`` is the number in a picture's file name, as COCO names its files, and else the
    count of frames before. ``track_id`` counts the people of all sources, first come: of a single
    source it is the id that other formats write.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        entries = CocoEntries(topology)
        super().__init__(entries, _CocoFile(path))


class _CocoFile:
    def __init__(self, path: Path) -> None:
        self._file = TextFile(path, begin="[", end="\n]\n")
        self._separator = "\n"
        self._count = 0
        self._ids = count(1)
        self._known: dict[tuple[str, int], int] = {}  # (source, id there) -> track_id, newest last

    def write(self, packed: Entries, /) -> None:
        text = ""
        for frame in packed:
            image_id = self._count if frame.number is None else frame.number
            self._count += 1
            ids = self._track_ids(frame)
            for who, entry in frame.people:
                track = f', "track_id": {ids[who]}' if who else ""
                text += f'{self._separator}{{"image_id": {image_id}, {entry}{track}}}'
                self._separator = ",\n"
        self._file.write(text)

    def close(self) -> None:
        self._file.close()

    def _track_ids(self, frame: FrameEntries) -> dict[int, int]:
        """The track_id of each who has an id in the frame."""
        ids = {}
        for who in sorted(who for who, _ in frame.people if who):
            key = frame.source, who
            known = self._known.pop(key, None)
            ids[who] = self._known[key] = next(self._ids) if known is None else known
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return ids


def _number(result: Result) -> int | None:
    stem = Path(result.source.name).stem
    return int(stem) if result.source.still and stem.isdigit() else None
