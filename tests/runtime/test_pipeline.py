"""Sources through all stages: order, numbers, errors, bounds, the same people as posert.Pose."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from making.clips import read
from making.networks import read_lines
from making.pictures import nose_of_frame, picture

import posert
from posert.errors import EngineError, InputError, OutputError, PosertError
from posert.manifest import Form
from posert.runtime.estimator import Estimator
from posert.runtime.pipeline import Stages, process
from posert.runtime.sources.source import Health, Span
from posert.runtime.stream import Files, Job, Tally
from posert.types import Frame, Image, Images, People, PoseMaps, PoseOutput, Result, SourceInfo

pytestmark = pytest.mark.usefixtures("no_threads_left")


@dataclass
class FakeSource:
    """``count`` frames; ``fails_at`` one of them, it breaks off."""

    count: int = 10
    fails_at: int | None = None
    live: bool = False
    freed: int = 0
    most_alive: int = 0
    skipped: int = 0
    dropped: int = 0
    health: Health | None = None

    def __post_init__(self) -> None:
        self.info = SourceInfo("fake", 96, 64, Fraction(25), Fraction(1, 25), live=self.live)

    def frames(self, span: Span) -> Iterator[Frame]:
        for i in range(self.count):
            if i == self.fails_at:
                raise InputError("fake: broke off")
            image = picture(noses=[nose_of_frame(i)])
            weakref.finalize(image, self._free)
            self.most_alive = max(self.most_alive, i + 1 - self.freed)
            yield Frame(image, i, i, i / 25)

    def close(self) -> None:
        return

    def _free(self) -> None:
        self.freed += 1


@dataclass
class Kept:
    """A sink and image writer that keeps what it gets, or fails at one of them."""

    results: list[Result] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    fails_at: int | None = None

    def write(self, results: Sequence[Result]) -> None:
        for result in results:
            if result.frame.index == self.fails_at:
                raise OutputError("kept: full")
            self.results.append(replace(result, frame=replace(result.frame, picture=None)))  # type: ignore[arg-type]

    def write_image(self, image: Image, frame: Frame) -> None:
        self.images.append(frame.index)

    def close(self) -> None:
        return


class FailingEngine:
    """Fails at its third picture."""

    name = "failing"
    batch = 1
    workers = 2
    form: Form = "maps"

    def __init__(self) -> None:
        self.calls = 0

    def infer(self, frames: Images) -> list[PoseOutput]:
        self.calls += 1
        if self.calls >= 3:
            raise EngineError("failing: out of memory")
        return [PoseMaps(np.zeros((18, 16, 24), np.float32), np.zeros((42, 16, 24), np.float32))]


@pytest.fixture
def estimator(dots: Path) -> Estimator:
    return posert.Pose(dots, input_size=96, workers=3).estimator


def go(
    source: FakeSource, estimator: Estimator, kept: Kept, stop_after: int | None = None
) -> Tally:
    stop, tally = threading.Event(), Tally("fake")

    def on_frame(tally: Tally) -> None:
        if tally.frames == stop_after:
            stop.set()

    def draw(image: Image, people: People, time_s: float) -> Image:
        return image.copy()

    files = Files([kept.write_image], lambda: None, draw)
    job = Job(tally, lambda: source, lambda source: files)
    try:
        process([job], Span(), Stages(estimator, [kept]), stop, on_frame)
    except PosertError as e:
        tally.error = e
    return tally


def test_order_is_kept_with_several_workers(estimator: Estimator) -> None:
    kept = Kept()
    tally = go(FakeSource(60), estimator, kept)
    assert [r.frame.index for r in kept.results] == kept.images == list(range(60))
    found = [float(r.people.keypoints[0, 0, 0]) for r in kept.results]
    assert found == pytest.approx([nose_of_frame(i)[0] for i in range(60)], abs=0.2)
    assert (tally.frames, tally.people, tally.error) == (60, 60, None)


def test_frames_alive_are_bounded_by_the_queues(estimator: Estimator) -> None:
    source = FakeSource(200)
    go(source, estimator, Kept())
    # queues of 4 before and 3 + 2 behind the engine, 4 before and 4 behind drawing; and one frame
    # in the hand of the decoder, 2 feeders, the draw thread, the writer and him who delivers
    assert 1 < source.most_alive <= 4 + 5 + 4 + 4 + 6


def test_a_source_that_breaks_off_keeps_what_came_before(estimator: Estimator) -> None:
    kept = Kept()
    tally = go(FakeSource(20, fails_at=7), estimator, kept)
    assert str(tally.error) == "fake: broke off"
    assert [r.frame.index for r in kept.results] == kept.images == list(range(7))
    assert tally.frames == 7


def test_an_engine_that_fails_ends_the_source(estimator: Estimator) -> None:
    kept = Kept()
    tally = go(FakeSource(20), replace(estimator, engine=FailingEngine()), kept)
    assert str(tally.error) == "failing: out of memory"
    assert len(kept.results) <= 2


def test_a_sink_that_fails_ends_the_source(estimator: Estimator) -> None:
    kept = Kept(fails_at=4)
    tally = go(FakeSource(10**6), estimator, kept)
    assert str(tally.error) == "kept: full"
    assert [r.frame.index for r in kept.results] == [0, 1, 2, 3]
    assert tally.frames == 4


def test_stop_completes_what_is_under_way(estimator: Estimator) -> None:
    kept = Kept()
    tally = go(FakeSource(10**6), estimator, kept, stop_after=5)
    assert [r.frame.index for r in kept.results] == list(range(tally.frames))
    assert 5 <= tally.frames <= 5 + 6 + 2 + 4 + 4
    assert tally.error is None


def test_a_live_source_drops_and_counts_every_frame(estimator: Estimator) -> None:
    kept = Kept()
    tally = go(FakeSource(300, live=True), estimator, kept)
    indices = [r.frame.index for r in kept.results]
    assert indices == sorted(set(indices))
    assert indices[-1] == 299
    assert tally.frames + tally.dropped == 300


def test_caps_are_counted_and_logged_once(
    tmp_path: Path, dots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        two = picture(noses=[(49.5, 17.5), (49.5, 45.5)])
        cv2.imwrite(str(tmp_path / f"{name}.png"), two)
    with caplog.at_level(logging.WARNING):
        report = posert.run(
            [tmp_path / "a.png", tmp_path / "b.png"],
            model=str(dots), input_size=96, max_people=1, jsonl=tmp_path / "o.jsonl",
        )  # fmt: skip
    assert [tally.capped.people for tally in report.sources] == [1, 1]
    assert [tally.people for tally in report.sources] == [1, 1]
    assert caplog.text.count("a cap was hit") == 2  # once a source


def test_a_cap_hit_in_every_frame_is_logged_once(
    tmp_path: Path, walk: Path, dots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = posert.run(
        walk, model=str(dots), input_size=96, threshold=0.001, max_peaks=1,
        jsonl=tmp_path / "o.jsonl",
    )  # fmt: skip
    assert report.sources[0].capped.peaks > 1
    assert caplog.text.count("a cap was hit") == 1


@pytest.mark.parametrize("parser", ["posert", "trt_pose"])
def test_a_run_finds_what_pose_finds(tmp_path: Path, walk: Path, dots: Path, parser: str) -> None:
    options: dict[str, Any] = {"input_size": 96, "parser": parser}
    posert.run(walk, model=str(dots), jsonl=tmp_path / "out.jsonl", workers=2, **options)
    pose = posert.Pose(dots, **options)
    lines = read_lines(tmp_path / "out.jsonl")
    for line, image in zip(lines, read(walk), strict=True):
        wanted = pose(image)
        assert len(wanted) == len(line["people"]) == 1
        found = line["people"][0]["keypoints"]
        for name, keypoint in zip(pose.topology.keypoints, wanted.keypoints[0], strict=True):
            if np.isnan(keypoint[0]):
                assert found[name] is None
            else:
                assert found[name] == pytest.approx(keypoint.tolist(), abs=0.006)


def test_every_stage_is_timed_for_every_frame(tmp_path: Path, walk: Path, dots: Path) -> None:
    report = posert.run(walk, tmp_path / "o.mp4", model=str(dots), jsonl=tmp_path / "o.jsonl")
    assert {s.stage: s.count for s in report.stages} == dict.fromkeys(
        ("decode", "engine", "parse", "track", "draw", "encode", "data"), 12
    )
    assert all(0 <= s.p50_ms <= s.p95_ms for s in report.stages)
    assert (report.frames, report.people, report.stopped) == (12, 12, False)
    assert report.engine.startswith("onnxruntime (CPU")
    assert report.sources[0].expected == 12
