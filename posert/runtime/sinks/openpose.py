"""OpenPose's output: a JSON file a frame in its COCO-18 keypoint order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from posert.postprocess.formats import OPENPOSE_COCO_18, order_of, with_zeros
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, unwritable
from posert.types import People, Result

_UNUSED = (
    "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d",
    "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip

# of files that are read: in a name that the user gave, what follows a point is part of it
ENDINGS: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".gif"}
    | {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".flv", ".wmv"}
    | {".mpg", ".mpeg", ".3gp", ".ogv", ".264", ".h264", ".265", ".hevc"}
)

Texts: TypeAlias = list[tuple[str, int, str]]  # source, number of the frame, what its file says


class OpenPosePeople:
    """Each frame's people; missing keypoints are 0, 0, 0, and an unknown id is -1, as there.

    Raises:
        ConfigError: the topology lacks one of the 18 keypoints.
    """

    def __init__(self, topology: Topology) -> None:
        self._order = order_of(topology, OPENPOSE_COCO_18, "OpenPose JSON")

    def pack(self, results: Sequence[Result]) -> Texts:
        return [(r.source.name, r.frame.index, self._text(r.people)) for r in results]

    def _text(self, people: People) -> str:
        ids = people.ids.tolist() if people.ids is not None else [0] * len(people)
        told = [
            {
                "person_id": [who or -1],
                "pose_keypoints_2d": [
                    round(v, 3) for v in with_zeros(keypoints[self._order]).ravel().tolist()
                ],
                **{key: [] for key in _UNUSED},
            }
            for who, keypoints in zip(ids, people.keypoints, strict=True)
        ]
        return json.dumps({"version": 1.3, "people": told})


class OpenPoseFolder(DataSink[Texts]):
    """``DIR/NAME_000000000012_keypoints.json``, one a frame.

    Raises:
        ConfigError: the topology lacks one of the 18 keypoints.
        OutputError: the folder or a file cannot be written.
    """

    def __init__(self, folder: Path, topology: Topology) -> None:
        people = OpenPosePeople(topology)
        super().__init__(people, _Folder(folder))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stems: dict[str, str] = {}  # source -> start of its files' names
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise unwritable(folder, e) from e

    def write(self, packed: Texts, /) -> None:
        for source, index, text in packed:
            path = self._folder / f"{self._stem_of(source)}_{index:012d}_keypoints.json"
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as e:
                raise unwritable(path, e) from e

    def close(self) -> None:
        return

    def _stem_of(self, source: str) -> str:
        """A stem of its own for each source: numbered where those of two inputs are alike."""
        if source not in self._stems:
            stem, number = _file_stem(source), 2
            while stem in self._stems.values():
                stem, number = f"{_file_stem(source)}-{number}", number + 1
            self._stems[source] = stem
        return self._stems[source]


def _file_stem(source: str) -> str:
    """A source's name as the start of a file name: of a file its stem, of a URL what is safe."""
    path = Path(source)
    stem = path.stem if path.suffix.lower() in ENDINGS else path.name
    stem = source if "://" in source else stem
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in stem) or "source"
