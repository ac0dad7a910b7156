"""One CSV row a person and frame, three columns a keypoint; a missing keypoint is empty."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import TextFile
from posert.types import Result


class CsvTable:
    """Columns source, frame, time, person, id, score, then NAME_x, NAME_y (px), NAME_score.

    ``person`` counts the people of a frame, ``id`` says who it is, empty where that is not known. A
    frame without people is one row whose person and all that follows are empty.
    """

    def __init__(self, path: Path, topology: Topology) -> None:
        self._file = TextFile(path, newline="")
        self._text = StringIO(newline="")
        self._rows = csv.writer(self._text)
        columns = [f"{name}_{part}" for name in topology.keypoints for part in ("x", "y", "score")]
        self._rows.writerow(["source", "frame", "time", "person", "id", "score", *columns])
        self._empty = [""] * (3 + len(columns))
        self._flush()

    def write(self, results: Sequence[Result]) -> None:
        for result in results:
            self._add(result)
        self._flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, result: Result) -> None:
        where = [result.source.name, result.frame.index, round(result.frame.time_s, 6)]
        if not len(result.people):
            self._rows.writerow([*where, *self._empty])
        scores = result.people.scores.astype(np.float64).round(4).tolist()
        keypoints = result.people.keypoints.astype(np.float64).round(3)
        ids = [0] * len(scores) if result.people.ids is None else result.people.ids.tolist()
        for number, (i, score, person) in enumerate(zip(ids, scores, keypoints, strict=True)):
            numbers = ["" if v != v else v for v in person.ravel().tolist()]
            self._rows.writerow([*where, number, i or "", score, *numbers])

    def _flush(self) -> None:
        self._file.write(self._text.getvalue())
        self._text.seek(0)
        self._text.truncate()
