"""Whether memory stays flat: one source of a hundred thousand frames and more, and who it shows.

    python bench/endless.py [--frames 100000] [--sources 1] [-o result.json]

A made-up source sends one small picture again and again. A replay engine answers with people who
walk through it, a new one every few seconds, so that ids come and go. They are followed, smoothed
and written as JSON lines; with --video drawn and encoded too. Told is the resident memory at each
tenth of the frames: all of the first is warming up. No network runs: a real one keeps nothing
between its calls, and would take hours.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from posert.bench.usage import memory_mb
from posert.building.estimator import make_estimator
from posert.engine_builder.card import find_card, read_topology
from posert.jobs import Shared, Work, make_job
from posert.postprocess.topology import Topology
from posert.runtime.pipeline import Stages, process
from posert.runtime.replay import ReplayEngine
from posert.runtime.sinks import data_files
from posert.runtime.sources.source import Health, Source, Span
from posert.runtime.stream import Job, Tally
from posert.settings import RunSettings, SourceSettings
from posert.types import Frame, PoseTensors, SourceInfo

RATE = 30
PICTURE = np.zeros((64, 96, 3), np.uint8)
CELLS = (16, 24)  # of a map
PEOPLE = 4  # at most, at once
CROSSING = 150  # frames that a person takes from left to right


@dataclass
class Endless:
    """So many frames of one picture."""

    name: str
    count: int
    skipped: int = 0
    dropped: int = 0
    health: Health | None = None
    info: SourceInfo = field(init=False)

    def __post_init__(self) -> None:
        height, width, _ = PICTURE.shape
        self.info = SourceInfo(self.name, width, height, Fraction(RATE), Fraction(1, RATE))

    def frames(self, span: Span) -> Iterator[Frame]:
        for i in range(self.count):
            yield Frame(PICTURE, i, i, i / RATE)

    def close(self) -> None:
        pass


def walkers(topology: Topology) -> list[PoseTensors]:
    """People who cross one after the other, as the compact form tells of them, for ever."""
    return [_seen(topology, number) for number in range(CROSSING)]


def _seen(topology: Topology, number: int) -> PoseTensors:
    """Person i is i quarters of the way ahead; who arrives is followed by a new one."""
    kinds, links = len(topology.keypoints), len(topology.links)
    peaks = np.zeros((kinds, PEOPLE, 3), np.float32)
    for person in range(PEOPLE):
        share = (number / CROSSING + person / PEOPLE) % 1
        peaks[:, person, 0] = 3 + np.arange(kinds) * 10 / kinds
        peaks[:, person, 1] = share * (CELLS[1] + 4) - 2
        peaks[:, person, 2] = 0.9
    scores = np.zeros((links, PEOPLE, PEOPLE), np.float32)
    scores[:] = np.eye(PEOPLE, dtype=np.float32) * 0.9
    return PoseTensors(peaks, np.full(kinds, PEOPLE, np.int64), scores)


@dataclass
class Memory:
    """Resident memory at each tenth of ``frames``."""

    frames: int
    seen: int = 0
    mb: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def frame(self, tally: Tally) -> None:
        self.seen += 1
        if self.seen % (self.frames // 10) == 0:
            self.mb.append(round(memory_mb(), 1))
            rate = self.seen / (time.perf_counter() - self.began)
            print(
                f"| {self.seen} | {self.mb[-1]:.1f} | {tally.followed} | {rate:.0f} |", flush=True
            )

    @property
    def growth_mb(self) -> float:
        """From the first tenth to the last."""
        return self.mb[-1] - self.mb[0]


def run(frames: int, sources: int, folder: Path, *, video: bool) -> tuple[Memory, list[Tally]]:
    """Runs so many frames in all, through the stages of ``posert run``."""
    card = find_card("pose-small")
    topology = read_topology(card.topology_path)
    settings = RunSettings()
    estimator = make_estimator(card, topology, ReplayEngine(walkers(topology)), settings)
    shared = Shared(settings, topology, settings.reading, threading.Event())
    made = [Endless(f"endless {n}", frames // sources) for n in range(sources)]
    tallies = [Tally(source.name) for source in made]
    jobs = [
        job(n, source, tally, folder / f"{n}.mp4" if video else None, shared)
        for n, (source, tally) in enumerate(zip(made, tallies, strict=True))
    ]
    memory = Memory(frames)
    (sink,) = data_files(topology, jsonl=folder / "people.jsonl")
    try:
        stages = Stages(estimator, [sink], at_once=sources)
        process(jobs, Span(), stages, shared.stop, memory.frame)
    finally:
        sink.close()
    return memory, tallies


def job(number: int, source: Source, tally: Tally, output: Path | None, shared: Shared) -> Job:
    work = Work(number, SourceSettings(source.info.name), tally, output)
    return replace(make_job(work, shared), open=lambda: source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="of all sources")
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--video", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    print("| frames | MB | people so far | frames/s |\n|---|---|---|---|")
    with TemporaryDirectory() as folder:
        memory, tallies = run(given.frames, given.sources, Path(folder), video=given.video)
    followed = sum(tally.followed for tally in tallies)
    print(f"{memory.growth_mb:+.1f} MB from the first tenth to the last; {followed} people")
    if given.output:
        result = {"frames": memory.seen, "sources": given.sources, "video": given.video,
                  "people": followed, "resident_mb": memory.mb}  # fmt: skip
        given.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
