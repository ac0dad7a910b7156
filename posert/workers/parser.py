"""What a parser process does: tensors to people, who is who, and data; for sources of its own."""

from __future__ import annotations

import mmap
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from posert.errors import PosertError
from posert.postprocess.settings import ParserSettings
from posert.postprocess.tensors import parse_batch
from posert.postprocess.topology import Topology
from posert.runtime.estimator import to_source
from posert.runtime.sinks.sink import Format
from posert.runtime.stream import Follow
from posert.runtime.timing import StageTimes
from posert.types import (
    Capped,
    Float32,
    Frame,
    Image,
    Int64,
    Letterbox,
    People,
    PoseTensors,
    Result,
    SourceInfo,
)  # fmt: skip
from posert.workers.messages import Link

NOT_FOLLOWED: Final = -1  # where an id would be


@dataclass(frozen=True, slots=True, eq=False)
class ParserTask:
    """The first that a parser is told."""

    topology: Topology
    settings: ParserSettings
    formats: list[Format[Any]]


class Row(NamedTuple):
    """A frame whose tensors are in the memory that both processes see."""

    record: int  # which of the memory's
    source: int
    frame: int  # its number in the source
    time_s: float
    seen_s: float
    size: tuple[int, int]  # width, height
    letterbox: tuple[float, float, int]


@dataclass(slots=True, eq=False)
class Given:
    """Frames to be parsed, in order."""

    layout: tuple[int, int, int]  # of the records: C, K, M
    rows: list[Row]
    begun: dict[int, tuple[SourceInfo, Follow | None]]  # sources that were not there before
    ended: list[int]  # and those of which no further frame comes


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What was found in the frames given: people one behind the other."""

    counts: list[int]  # people of each frame
    keypoints: Float32
    scores: Float32
    ids: Int64
    capped: list[Capped]
    packed: list[Any]  # by each format
    times: StageTimes

    def people(self) -> Iterable[People]:
        """Those of each frame."""
        end = 0
        for count, capped in zip(self.counts, self.capped, strict=True):
            begin, end = end, end + count
            ids = self.ids[begin:end]
            followed = not count or ids[0] != NOT_FOLLOWED
            yield People(
                self.keypoints[begin:end], self.scores[begin:end], capped,
                ids if followed else None,
            )  # fmt: skip


def record_of(layout: tuple[int, int, int]) -> np.dtype[Any]:
    """A frame's tensors: C types of keypoints, K links, M peaks of a type."""
    c, k, m = layout
    return np.dtype(
        [("peaks", "f4", (c, m, 3)), ("counts", "i8", (c,)), ("link_scores", "f4", (k, m, m))]
    )


@dataclass
class _Size:
    """All that data say of a picture."""

    width: int
    height: int

    def to_host(self) -> Image:
        """There is none in this process."""
        raise NotImplementedError


def main(handle: int, memory: int) -> None:
    """Answers what comes through the pipe ``handle``; both are file descriptors."""
    for number in (signal.SIGINT, signal.SIGTERM):  # it ends with the process that it works for
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)  # its own threads would only disturb the other processes
    link = Link(Connection(handle))
    task = link.receive()
    if not isinstance(task, ParserTask):
        return
    parser = _Parser(task, memory)
    try:
        while (given := link.receive()) is not None:
            link.send(parser.answer(given))
    except PosertError:  # of the link alone: nobody listens any more
        return


class _Parser:
    def __init__(self, task: ParserTask, memory: int) -> None:
        self._task = task
        self._memory = memory
        self._records: npt.NDArray[Any] | None = None
        self._sources: dict[int, tuple[SourceInfo, Follow | None]] = {}

    def answer(self, given: Given) -> Answer:
        """Parses, follows and packs the frames of ``given``."""
        self._sources |= given.begun
        times = StageTimes()
        with times.measure("parse", len(given.rows)):
            found = self._parse(given)
        with times.measure("track", len(given.rows)):
            results = [self._followed(*each) for each in zip(given.rows, found, strict=True)]
        with times.measure("data", len(given.rows)):
            packed = [each.pack(results) for each in self._task.formats]
        for number in given.ended:
            self._sources.pop(number, None)
        return _answer([result.people for result in results], packed, times)

    def _parse(self, given: Given) -> list[People]:
        if self._records is None and given.rows:
            seen = mmap.mmap(self._memory, 0, prot=mmap.PROT_READ)
            self._records = np.frombuffer(seen, record_of(given.layout))
        found = []
        for row in given.rows:
            assert self._records is not None
            record = self._records[row.record]
            found.append(PoseTensors(record["peaks"], record["counts"], record["link_scores"]))
        return parse_batch(found, self._task.topology, self._task.settings)

    def _followed(self, row: Row, people: People) -> Result:
        people = to_source(people, Letterbox(*row.letterbox))
        info, follow = self._sources[row.source]
        if follow is not None:
            people = follow(people, row.time_s)
        frame = Frame(_Size(*row.size), row.frame, 0, row.time_s, row.seen_s)
        return Result(info, frame, people)


def _answer(people: Sequence[People], packed: list[Any], times: StageTimes) -> Answer:
    if not people:  # only ends were told
        none = np.zeros(0, np.float32)
        return Answer([], none, none, np.zeros(0, np.int64), [], packed, times)
    ids = [np.full(len(p), NOT_FOLLOWED) if p.ids is None else p.ids for p in people]
    return Answer(
        [len(each) for each in people],
        np.concatenate([p.keypoints for p in people]),
        np.concatenate([p.scores for p in people]),
        np.concatenate(ids),
        [each.capped for each in people],
        packed,
        times,
    )
