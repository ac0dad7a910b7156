"""One CSV row a person and frame, three columns a keypoint; a missing keypoint is empty."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, TextFile
from posert.types import Result


class CsvRows:
    """Columns source, frame, time, person, id, score, then NAME_x, NAME_y (px), NAME_score.

    A frame without people is one row whose person and all that follows are empty; so is the id
    of who is not followed, or not sure yet.
    """

    def __init__(self, topology: Topology) -> None:
        columns = [f"{name}_{part}" for name in topology.keypoints for part in ("x", "y", "score")]
        self._columns = ["source", "frame", "time", "person", "id", "score", *columns]
        self._empty = [""] * (3 + len(columns))

    def header(self) -> str:
        """The first row of a file."""
        return _text([self._columns])

    def pack(self, results: Sequence[Result]) -> str:
        return _text(row for result in results for row in self._rows(result))

    def _rows(self, result: Result) -> Iterator[list[Any]]:
        where = [result.source.name, result.frame.index, round(result.frame.time_s, 6)]
        people = result.people
        if not len(people):
            yield [*where, *self._empty]
        ids = people.ids.tolist() if people.ids is not None else [0] * len(people)
        scores = people.scores.astype(np.float64).round(4).tolist()
        keypoints = people.keypoints.astype(np.float64).round(3)
        for number, (who, score, person) in enumerate(zip(ids, scores, keypoints, strict=True)):
            numbers = ["" if v != v else v for v in person.ravel().tolist()]
            yield [*where, number, who or "", score, *numbers]


class CsvTable(DataSink[str]):
    """A file of such rows."""

    def __init__(self, path: Path, topology: Topology) -> None:
        rows = CsvRows(topology)
        super().__init__(rows, TextFile(path, begin=rows.header()))


def _text(rows: Iterable[list[Any]]) -> str:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
