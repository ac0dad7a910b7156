"""Parser processes beside the one that has the GPU: people and data without its Python lock.

Tensors lie in memory that all of them see; what goes through the pipes is where, and the people.
"""

from __future__ import annotations

import logging
import mmap
import os
import queue
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from posert.errors import EngineError, PosertError
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.runtime.estimator import Inferred
from posert.runtime.scheduler import Batch, End
from posert.runtime.sinks.sink import DataSink, Format
from posert.runtime.stream import Stream
from posert.runtime.timing import StageTimes
from posert.types import Frame, People, PoseTensors
from posert.workers.parser import Answer, Given, ParserTask, Row, record_of
from posert.workers.process import Child, beside_standard

log = logging.getLogger(__name__)

_SLOTS: Final = 12  # batches that may be under way
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A batch under way."""

    slot: int
    parts: dict[int, list[int]] = field(default_factory=dict)  # parser -> its places in the batch
    names: list[str] = field(default_factory=list)  # of each frame's source


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """What became of a batch."""

    people: list[People | PosertError]  # of each frame; an error where its parser died
    packed: list[list[Any]]  # what each format made, a list a parser


@dataclass(frozen=True, slots=True)
class _Place:
    """A source, where it is parsed."""

    number: int
    parser: int
    name: str


class Parsers:
    """Parses what the engine says, each source always in the same process, so in order.

    ``put`` is called by one thread, ``take`` by another, with the tickets in order.
    """

    def __init__(
        self,
        count: int,
        topology: Topology,
        settings: ParserSettings,
        data: Sequence[tuple[Format[Any], DataSink[Any]]],
        times: StageTimes,
        most: int,
    ) -> None:
        """Starts them.

        Args:
            count: of processes.
            topology: the model's.
            settings: the parser's.
            data: each format, and the sink that takes what it makes.
            times: to which theirs are added.
            most: frames a batch.

        Raises:
            EngineError: they cannot be started.
        """
        self._sinks = [sink for _, sink in data]
        self._times = times
        self._most = most
        memory = os.memfd_create("posert", os.MFD_CLOEXEC)
        self._memory = beside_standard(memory)
        os.close(memory)
        self._records: list[npt.NDArray[Any]] | None = None  # peaks, counts, link scores
        self._layout = (0, 0, 0)
        self._places: dict[Stream, _Place] = {}
        self._next = 0
        self._dead: dict[int, EngineError] = {}
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._closed = False
        for slot in range(_SLOTS):
            self._free.put(slot)
        self._children: list[Child] = []
        task = ParserTask(topology, settings, [each for each, _ in data])
        try:
            for i in range(count):
                name, main = f"parser {i + 1}", "posert.workers.parser"
                self._children.append(Child(name, main, _ONE_THREAD, [self._memory]))
                self._children[-1].send(task)
        except BaseException:
            self.close()
            raise

    def put(self, batch: Batch[Stream], inferred: Sequence[Inferred]) -> Ticket:
        """Hands a batch to the parsers of its sources; waits while too many are under way.

        Raises:
            EngineError: a source begins, and all parsers are dead.
        """
        ticket = Ticket(self._slot())
        given: dict[int, Given] = {}
        tensors = iter(inferred)
        for taken in batch:
            stream = taken.owner
            if isinstance(taken.item, End):
                if (ended := self._places.pop(stream, None)) is not None:
                    self._given(given, ended).ended.append(ended.number)
                continue
            source = self._places.get(stream) or self._begin(stream, given)
            place = len(ticket.names)
            record = ticket.slot * self._most + place
            row = self._row(record, source.number, taken.item, next(tensors))
            self._given(given, source).rows.append(row)
            ticket.parts.setdefault(source.parser, []).append(place)
            ticket.names.append(source.name)
        for parser, each in given.items():
            ticket.parts.setdefault(parser, [])
            each.layout = self._layout
            self._children[parser].send(each)
        return ticket

    def take(self, ticket: Ticket) -> Parsed:
        """Waits for what was found in the batch of ``ticket``."""
        people: list[People | PosertError] = [EngineError("no answer")] * len(ticket.names)
        packed: list[list[Any]] = []
        for parser, places in ticket.parts.items():
            answer = self._answer(parser)
            if answer is None:
                for place in places:
                    people[place] = EngineError(f"{ticket.names[place]}: {self._dead[parser]}")
                continue
            self._times.join(answer.times)
            for place, found in zip(places, answer.people(), strict=True):
                people[place] = found
            if places:
                packed.append(answer.packed)
        self._free.put(ticket.slot)
        return Parsed(people, packed)

    def write(self, parsed: Parsed) -> None:
        """Writes the data of a batch.

        Raises:
            OutputError: they cannot be written.
        """
        for packed in parsed.packed:
            for sink, each in zip(self._sinks, packed, strict=True):
                sink.add(each)

    def close(self) -> None:
        """Ends the processes."""
        self._closed = True
        for child in self._children:
            child.kill()
        self._children = []
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    def _answer(self, parser: int) -> Answer | None:
        if parser in self._dead:
            return None
        child = self._children[parser]
        answer: Answer | None = child.receive()
        if answer is None:
            self._dead[parser] = child.why_gone()
            log.error("%s: its sources are cut short", self._dead[parser])
        return answer

    def _slot(self) -> int:
        while not self._closed:
            try:
                return self._free.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        raise EngineError("the parsers were closed")

    def _given(self, given: dict[int, Given], source: _Place) -> Given:
        return given.setdefault(source.parser, Given(self._layout, [], {}, []))

    def _begin(self, stream: Stream, given: dict[int, Given]) -> _Place:
        """Gives a source its parser, which is told of it with its first frame."""
        info = stream.info
        name = info.name if info is not None else ""  # it has none once all is over
        source = self._places[stream] = _Place(self._next, self._least_loaded(), name)
        self._next += 1
        if info is not None:
            self._given(given, source).begun[source.number] = info, stream.follow
        return source

    def _least_loaded(self) -> int:
        """Of those that live, the one with the fewest sources, each in its turn."""
        count = len(self._children)
        living = [
            parser for parser, child in enumerate(self._children)
            if parser not in self._dead and not child.gone
        ]  # fmt: skip
        if not living:
            why = f": {self._children[0].why_gone()}" if count else ""  # none: they were closed
            raise EngineError(f"no parser is left of {count}{why}")
        loads = Counter(source.parser for source in self._places.values())
        return min(living, key=lambda parser: (loads[parser], (parser - self._next) % count))

    def _row(self, record: int, source: int, frame: Frame, inferred: Inferred) -> Row:
        tensors, box = inferred
        assert isinstance(tensors, PoseTensors)
        if self._records is None:
            self._records = self._mapped(tensors)
        peaks, counts, link_scores = self._records
        peaks[record], counts[record] = tensors.peaks, tensors.counts
        link_scores[record] = tensors.link_scores
        letterbox = box.scale_x, box.scale_y, box.stride
        return Row(record, source, frame.index, frame.time_s, frame.seen_s, frame.size, letterbox)

    def _mapped(self, tensors: PoseTensors) -> list[npt.NDArray[Any]]:
        """The memory, as records of the tensors' layout, field by field."""
        c, m, _ = tensors.peaks.shape
        self._layout = c, len(tensors.link_scores), m
        record = record_of(self._layout)
        nbytes = record.itemsize * self._most * _SLOTS
        os.ftruncate(self._memory, nbytes)
        records = np.frombuffer(mmap.mmap(self._memory, nbytes), record)
        return [records[field] for field in ("peaks", "counts", "link_scores")]


# NumPy's own threads would only disturb the other processes; ``parser.main`` sees to OpenCV's
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
