"""A wall of live sources: on the clock, each source's newest picture, nobody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from making.pictures import flat
from making.walls import Kept, frame, info, is_grey

from posert.runtime.sinks import video_writer
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.wall import Wall, ticks, tile
from posert.runtime.wall.grid import grid
from posert.types import Frame, Image, SourceInfo

PATIENCE_S = 20
SIZE = (384, 272)
pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture
def video(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Of sources that do not stall because the machine is busy with other work."""
    monkeypatch.setattr(ticks, "_STALLED_S", 60.0)
    kept = Kept()
    yield kept
    kept.go_on.set()


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_the_newest_picture_of_each_is_shown(video: Kept) -> None:
    wall = Wall(video.open, ["a", "b"], SIZE, live=True)
    for i in range(2):
        wall.tile(i).begin(info(live=True))
        for number in range(100):  # more than anything waits for
            wall.tile(i).show(*frame(number + 100 * i), 0.02)
    boxes = grid(2, *SIZE)
    until(lambda: len(video.written) > 0)
    until(lambda: [video.numbers(box)[-1] for box in boxes] == [99, 199])
    wall.tile(0).show(*frame(7), 0.02)
    until(lambda: video.numbers(boxes[0])[-1] == 7)
    wall.close()
    assert video.info is not None
    assert video.info.live
    assert video.info.rate == 25
    assert video.closed == 1


@pytest.mark.parametrize(("rate", "of_wall"), [(10, 10), (60, 30)])
def test_it_is_as_fast_as_its_fastest_source_up_to_30(video: Kept, rate: int, of_wall: int) -> None:
    wall = Wall(video.open, ["a"], SIZE, live=True)
    wall.tile(0).begin(info(rate, live=True))
    wall.tile(0).show(*frame(1), 0.02)
    until(lambda: len(video.written) > 1)
    wall.close()
    assert video.info is not None
    assert video.info.rate == of_wall


def test_an_encoder_that_is_too_slow_leaves_frames_out_and_the_times_are_true(video: Kept) -> None:
    wall = Wall(video.open, ["a"], SIZE, live=True)
    wall.tile(0).show(*frame(1), 0.02)
    until(lambda: len(video.written) > 1)
    video.go_on.clear()
    stood_s = time.monotonic()
    for i in range(1000):  # nobody waits
        wall.tile(0).show(*frame(i % 100), 0.02)
    time.sleep(max(0.0, stood_s + 0.5 - time.monotonic()))
    video.go_on.set()
    last = len(video.written)
    until(lambda: len(video.written) > last + 3)
    wall.close()
    pts = [f.pts for _, f in video.written]
    left_out = sum(b - a - 1 for a, b in pairwise(pts))
    assert left_out >= 10
    assert wall.skipped == left_out
    assert wall.frames == len(pts)


class Slow:
    """A video that takes longer for each frame than the wall has, until it is let go."""

    def __init__(self, video: ImageWriter, let_go: threading.Event) -> None:
        self._video = video
        self._let_go = let_go
        self.pts: list[int] = []

    @property
    def paths(self) -> list[Path]:
        return self._video.paths

    def write(self, image: Image, frame: Frame) -> None:
        self._let_go.wait(0.06)
        self._video.write(image, frame)
        self.pts.append(frame.pts)

    def close(self) -> None:
        self._video.close()


def test_a_wall_whose_every_frame_is_late_ends_and_its_times_are_true(tmp_path: Path) -> None:
    path, let_go, opened = tmp_path / "wall.mp4", threading.Event(), []

    def open_video(about: SourceInfo) -> ImageWriter:
        opened.append(Slow(video_writer(path, about), let_go))
        return opened[0]

    wall = Wall(open_video, ["a"], SIZE, live=True)
    wall.tile(0).begin(info(30, live=True))
    wall.tile(0).show(*frame(1), 0.02)
    until(lambda: wall.frames > 4)
    closing = threading.Thread(target=wall.close, daemon=True)
    closing.start()
    closing.join(PATIENCE_S)
    ended = not closing.is_alive()
    let_go.set()
    assert ended
    pts = opened[0].pts
    assert wall.skipped == sum(b - a - 1 for a, b in pairwise(pts)) > 0
    with av.open(str(path)) as made:
        times = [frame.time for frame in made.decode(video=0)]
    assert times == pytest.approx([(n - pts[0]) / 30 for n in pts], abs=0.001)
    assert (wall.paths, wall.frames, wall.error) == ([path], len(pts), None)


def test_a_picture_stays_as_it_is_beside_live_sources(
    video: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_STALLED_S", 0.1)
    wall = Wall(video.open, ["photo", "camera"], SIZE, live=True)
    photo, camera = grid(2, *SIZE)
    colour = flat(160, 90, (200, 40, 40))
    wall.tile(1).show(colour, frame(0)[1], 0.02)
    wall.tile(0).begin(SourceInfo("p", 160, 90, Fraction(25), Fraction(1, 25), still=True))
    wall.tile(0).show(colour, frame(0)[1], 0.02)
    wall.tile(0).end()
    until(lambda: len(video.written) > 0 and is_grey(video.part(camera, -1)))  # it is stalled
    assert not is_grey(video.part(photo, -1))
    wall.close()
    assert not is_grey(video.part(photo, -1))


def test_a_video_that_hangs_is_told_while_the_run_goes_on(
    video: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tile, "_HANGS_S", 0.3)
    wall = Wall(video.open, ["a"], SIZE, live=True)
    wall.tile(0).show(*frame(1), 0.02)
    until(lambda: wall.frames > 0)
    video.go_on.clear()

    def told() -> bool:
        wall.tile(0).show(*frame(2), 0.02)
        return "took nothing" in caplog.text

    until(told)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    wall.close()
    assert "took nothing" in str(wall.error)
    video.go_on.set()


def test_a_silent_source_is_grey_until_it_returns(
    video: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_STALLED_S", 0.3)
    wall = Wall(video.open, ["silent", "never there"], SIZE, live=True)
    (silent, never) = grid(2, *SIZE)
    colour = (frame(5)[0] // 2 + 1) * (1, 2, 1)
    wall.tile(0).begin(info(live=True))

    def sends() -> bool:
        wall.tile(0).show(colour.astype("uint8"), frame(0)[1], 0.02)
        return len(video.written) > 0 and not is_grey(video.part(silent, -1))

    until(sends)
    assert is_grey(video.part(never, 0))
    until(lambda: is_grey(video.part(silent, -1)))
    until(sends)
    wall.close()


def test_one_that_ends_is_grey_while_the_others_go_on(video: Kept) -> None:
    wall = Wall(video.open, ["fails", "good"], SIZE, live=True)
    fails, good = grid(2, *SIZE)
    wall.tile(0).show(*frame(4), 0.02)
    wall.tile(1).show(*frame(4), 0.02)
    until(lambda: len(video.written) > 0)
    wall.tile(0).end("gave up after 30 s")
    wall.tile(0).show(*frame(5), 0.02)  # too late
    wall.tile(1).show(*frame(9), 0.02)
    until(lambda: video.numbers(good)[-1] == 9)
    assert is_grey(video.part(fails, -1))
    wall.tile(1).end()
    wall.close()
    assert (wall.error, video.closed) == (None, 1)


def test_an_output_that_fails_is_told_at_once_and_holds_nobody(
    video: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    video.fails_at = 2
    wall = Wall(video.open, ["a"], SIZE, live=True)
    wall.tile(0).show(*frame(1), 0.02)
    until(lambda: wall.error is not None)
    assert caplog.messages == ["the wall ends here: full"]
    wall.tile(0).show(*frame(2), 0.02)
    wall.close()
    assert str(wall.error) == "full"


def test_many_threads_show_at_once(video: Kept) -> None:
    wall = Wall(video.open, [f"{i}" for i in range(64)], (1920, 1080), live=True)

    def show(number: int) -> None:
        for i in range(50):
            wall.tile(number).show(*frame(i), 0.02)

    threads = [threading.Thread(target=show, args=(i,)) for i in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    before = len(video.written)
    until(lambda: len(video.written) > before + 1)
    assert {video.numbers(box)[-1] for box in grid(64, 1920, 1080)} == {49}
    wall.close()
