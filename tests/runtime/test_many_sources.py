"""Many sources in one run: none harms another, whatever becomes of it or of its output."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from making.networks import read_lines
from making.sources import Blank

import posert
from posert.errors import OutputError
from posert.runtime import outlet
from posert.runtime.estimator import Estimator
from posert.runtime.pipeline import Stages, process
from posert.runtime.sources.source import Source, Span
from posert.runtime.stream import Files, Job, Tally
from posert.types import Frame, Image, People

PATIENCE_S = 30


@pytest.fixture
def estimator(dots: Path) -> Estimator:
    return posert.Pose(dots, input_size=96, workers=2).estimator


def as_it_is(image: Image, people: People, time_s: float) -> Image:
    return image


def job(source: Blank, write: Callable[[Image, Frame], None] | None = None) -> Job:
    tally = Tally(source.name, live=source.live)

    def files(opened: Source) -> Files:
        assert write is not None
        return Files([write], lambda: None, as_it_is)

    return Job(tally, lambda: source, files if write is not None else None)


def run(jobs: list[Job], estimator: Estimator, stop: threading.Event | None = None) -> None:
    stages = Stages(estimator, [], at_once=len(jobs))
    process(jobs, Span(), stages, stop or threading.Event(), lambda tally: None)


def test_an_output_that_hangs_keeps_up_no_other_source(
    estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "_HANGS_S", 0.5)
    released, stop = threading.Event(), threading.Event()
    good = job(Blank("good", 300))

    def hang(image: Image, frame: Frame) -> None:
        released.wait(PATIENCE_S)

    jobs = [job(Blank("hangs", 10**9), hang), good]
    ended = threading.Thread(target=run, args=(jobs, estimator, stop))
    ended.start()
    until = time.monotonic() + PATIENCE_S
    while good.tally.frames < 300 and time.monotonic() < until:
        time.sleep(0.01)
    assert good.tally.frames == 300
    stop.set()
    ended.join(PATIENCE_S)
    assert not ended.is_alive()
    assert "took nothing" in str(jobs[0].tally.error)
    assert good.tally.error is None
    released.set()


def test_a_slow_output_makes_a_camera_drop_and_not_wait(estimator: Estimator) -> None:
    camera = Blank("camera", 400, live=True, before=lambda i: time.sleep(0.001))
    slow = job(camera, lambda image, frame: time.sleep(0.02))
    run([slow], estimator)
    assert slow.tally.dropped > 100
    assert slow.tally.frames + slow.tally.dropped == 400


def test_an_output_that_fails_ends_its_source_alone(estimator: Estimator) -> None:
    def fail(image: Image, frame: Frame) -> None:
        if frame.index == 5:
            raise OutputError("full")

    jobs = [job(Blank("bad", 10**9), fail), job(Blank("good", 100), lambda image, frame: None)]
    run(jobs, estimator)
    assert str(jobs[0].tally.error) == "full"
    assert jobs[0].tally.frames == 5
    assert (jobs[1].tally.error, jobs[1].tally.frames) == (None, 100)


def test_a_fault_in_one_output_leaves_the_others_complete(estimator: Estimator) -> None:
    completed: list[str] = []

    def fault(image: Image, frame: Frame) -> None:
        raise ZeroDivisionError

    good = job(Blank("good", 100), lambda image, frame: time.sleep(0.002))
    files = Files([lambda image, frame: None], lambda: completed.append("good"), as_it_is)
    good = Job(good.tally, good.open, lambda source: files)
    with pytest.raises(ZeroDivisionError):
        run([job(Blank("bad", 3), fault), good], estimator)
    assert completed == ["good"]
    assert good.tally.frames == 100


def test_a_source_that_opens_after_the_end_leaves_no_output(estimator: Estimator) -> None:
    opening, go_on, opened, stop = (threading.Event() for _ in range(4))
    late = Blank("late", 5, live=True)

    def open_late() -> Source:
        opening.set()
        assert go_on.wait(PATIENCE_S)
        return late

    def files(source: Source) -> Files:
        opened.set()
        return Files([], lambda: None, as_it_is)

    jobs = [Job(Tally("late", live=True), open_late, files)]
    ended = threading.Thread(target=run, args=(jobs, estimator, stop))
    ended.start()
    assert opening.wait(PATIENCE_S)
    stop.set()
    ended.join(PATIENCE_S)
    assert not ended.is_alive()
    go_on.set()
    until = time.monotonic() + PATIENCE_S
    while not late.closed.is_set() and time.monotonic() < until:
        time.sleep(0.01)
    assert late.closed.is_set()
    assert not opened.is_set()


def test_sources_that_ended_are_free_while_others_run(estimator: Estimator) -> None:
    alive = 0
    most = 0

    class Counted(Blank):
        def frames(self, span: Span) -> Iterator[Frame]:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            yield from super().frames(span)

        def __del__(self) -> None:
            nonlocal alive
            alive -= self.closed.is_set()

    def make(i: int) -> Job:
        return Job(
            Tally(f"{i}"), lambda: Counted(f"{i}", 1),
            lambda source: Files([lambda image, frame: None], lambda: None, as_it_is),
        )  # fmt: skip

    jobs = [make(i) for i in range(120)]
    gc.disable()  # what is free is so at once, not when it is found out
    try:
        process(jobs, Span(), Stages(estimator, []), threading.Event(), lambda t: None)
    finally:
        gc.enable()
    assert most < 40


def test_a_password_is_in_no_file_and_no_name(tmp_path: Path, walk: Path, dots: Path) -> None:
    secret = ["rtsp://user:hunter2@127.0.0.1:9/x", "http://127.0.0.1:9/v.mjpg?token=hunter2"]
    report = posert.run(
        [*secret, str(walk)], tmp_path / "out", model=str(dots), give_up=0.2,
        jsonl=tmp_path / "o.jsonl", status=tmp_path / "status.json",
    )  # fmt: skip
    assert report.exit_code == 7
    said = (tmp_path / "status.json").read_text() + repr([t.source for t in report.sources])
    said += "".join(str(t.error) for t in report.sources)
    said += "".join(str(path) for path in tmp_path.rglob("*"))
    assert "hunter2" not in said
    assert len(read_lines(tmp_path / "o.jsonl")) == 12
