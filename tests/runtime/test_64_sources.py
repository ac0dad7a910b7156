"""64 sources, one broken in each known way: the 63 others deliver every frame, in order."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from making.sources import Blank
from making.walls import Kept
from making.ways import PATIENCE_S, WAYS, Broken, Ground, flood

import posert
from posert.errors import PosertError
from posert.report import Report
from posert.runtime import outlet
from posert.runtime.estimator import Estimator
from posert.runtime.pipeline import Stages, process
from posert.runtime.sources.source import Source, Span
from posert.runtime.stream import Files, Job, Tally
from posert.runtime.wall import Tile, Wall, ticks, tile
from posert.types import Frame, Image, People, Result

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_threads_left")]
SOURCES, FRAMES = 64, 20


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Where nobody is waited for long."""
    monkeypatch.setattr(outlet, "_HANGS_S", 1.0)
    monkeypatch.setattr(tile, "_HANGS_S", 5.0)
    monkeypatch.setattr(ticks, "_HELD_S", 0.5)
    ground = Ground()
    yield ground
    ground.released.set()


@dataclass
class Seen:
    """The frames of each source that came to the data and to its file."""

    data: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    files: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    completed: list[str] = field(default_factory=list)

    def write(self, results: Sequence[Result]) -> None:
        for result in results:
            self.data[result.source.name].append(result.frame.index)

    def close(self) -> None: ...


@dataclass
class Trial:
    """A run of good and broken sources."""

    estimator: Estimator
    seen: Seen = field(default_factory=Seen)
    stop: threading.Event = field(default_factory=threading.Event)
    good: list[Job] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    wall: Wall | None = None

    def add(self, name: str, broken: Broken | None = None) -> Tally:
        """A source, good where it is not broken."""
        about = broken or Broken(lambda: Blank(name, FRAMES))
        tally = Tally(name, live=about.live)
        place = self.wall.tile(len(self.jobs)) if self.wall is not None else None
        opened = partial(self._files, name, about, place)
        ended = partial(_end, place)
        job = Job(tally, about.source, opened, name=name, ended=ended)
        self.jobs.append(job)
        if broken is None:
            self.good.append(job)
        return tally

    def _files(self, name: str, about: Broken, place: Tile | None, source: Source) -> Files:
        about.outputs()
        if place is not None:
            place.begin(source.info)

        def write(image: Image, frame: Frame) -> None:
            about.write(image, frame)
            self.seen.files[name].append(frame.index)

        def close() -> None:
            self.seen.completed.append(name)
            about.complete()

        return Files([write], close, as_it_is, place.show if place is not None else None)

    def run(self, until: Callable[[], bool] = lambda: False) -> Report:
        """Runs all; stops once ``until`` holds."""
        faults: list[BaseException] = []
        running = threading.Thread(target=self._run, args=(faults,))
        running.start()
        latest = time.monotonic() + PATIENCE_S
        while running.is_alive() and not until() and time.monotonic() < latest:
            time.sleep(0.01)
        self.stop.set()
        running.join(PATIENCE_S)
        assert not running.is_alive(), "the run hangs"
        if faults:
            raise faults[0]
        tallies = tuple(job.tally for job in self.jobs)
        return Report(tallies, 1.0, (), "engine", stopped=False)

    def _run(self, faults: list[BaseException]) -> None:
        stages = Stages(
            self.estimator, [self.seen], at_once=len(self.jobs), together=self.wall is not None
        )
        try:
            process(self.jobs, Span(), stages, self.stop, lambda tally: None)
        except BaseException as e:  # noqa: BLE001  raised again where it is asserted
            faults.append(e)
        finally:
            if self.wall is not None:
                self.wall.close()

    def good_are_done(self) -> bool:
        return all(job.tally.frames == FRAMES for job in self.good)

    def check_good(self) -> None:
        every = list(range(FRAMES))
        for job in self.good:
            name = job.tally.source
            assert (name, job.tally.error, job.tally.frames) == (name, None, FRAMES)
            assert (self.seen.data[name], self.seen.files[name]) == (every, every)
            assert name in self.seen.completed


def as_it_is(image: Image, people: People, time_s: float) -> Image:
    return image


def _end(place: Tile | None, error: PosertError | None) -> None:
    if place is not None:
        place.end(str(error or ""))


@pytest.fixture(params=["no wall", "wall"])
def trial(dots: Path, request: pytest.FixtureRequest) -> Trial:
    trial = Trial(posert.Pose(dots, input_size=96, workers=2).estimator)
    if request.param == "wall":
        names = [f"{i}" for i in range(SOURCES)]
        trial.wall = Wall(Kept().open, names, (640, 360), live=False)
    return trial


@pytest.mark.parametrize("trial", ["no wall"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_one_of_64_is_broken_and_the_others_are_whole(
    trial: Trial, ground: Ground, way: str
) -> None:
    broken = WAYS[way](ground)
    for i in range(SOURCES // 2):
        trial.add(f"good {i}")
    tally = trial.add("bad", broken)
    for i in range(SOURCES // 2, SOURCES - 1):
        trial.add(f"good {i}")
    report = trial.run(trial.good_are_done if broken.needs_stop else lambda: False)
    trial.check_good()
    if broken.frames is not None:
        assert tally.frames == broken.frames
    if broken.reason is None:
        assert report.exit_code == 0, tally.error
    else:
        assert broken.reason in str(tally.error)
        assert report.exit_code == 7


def test_half_of_64_are_broken_in_all_ways_at_once(trial: Trial, ground: Ground) -> None:
    broken = {}
    ways = list(WAYS.items())
    for i in range(SOURCES):
        if i % 2:
            name, way = ways[i // 2 % len(ways)]
            broken[f"{name} {i}"] = way(ground)
            trial.add(f"{name} {i}", broken[f"{name} {i}"])
        else:
            trial.add(f"good {i}")
    report = trial.run(trial.good_are_done)
    trial.check_good()
    assert report.exit_code == 7


@pytest.mark.parametrize("trial", ["no wall"], indirect=True)
def test_a_flood_has_its_turn_and_no_more(trial: Trial, ground: Ground) -> None:
    for i in range(SOURCES - 1):
        trial.add(f"good {i}")
    source = flood("flood")
    tally = trial.add("flood", Broken(lambda: source, live=True))
    trial.run(trial.good_are_done)
    trial.check_good()
    assert tally.dropped > tally.frames
    assert tally.frames < 4 * FRAMES
    assert 0 <= source.sent - tally.dropped - tally.frames <= 40  # under way when it was stopped


@pytest.mark.parametrize("trial", ["no wall"], indirect=True)
def test_a_fault_of_ours_is_raised_and_every_file_is_completed(trial: Trial) -> None:
    def fault() -> Source:
        raise ZeroDivisionError

    for i in range(SOURCES - 1):
        trial.add(f"good {i}")
    trial.add("bad", Broken(fault))
    with pytest.raises(ZeroDivisionError):
        trial.run()
    for name, indices in trial.seen.files.items():
        assert indices == list(range(len(indices)))
        assert name in trial.seen.completed
