"""A wall of files: each of its frames shows of every source the newest picture until then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from making.clips import read
from making.numbered import number_of
from making.pictures import flat
from making.walls import Kept, frame, info, is_grey, middle_of

from posert.errors import OutputError
from posert.runtime.sinks import video_writer
from posert.runtime.sinks.segments import OneFile
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.wall import Tile, Wall, ticks, tile
from posert.runtime.wall.grid import grid
from posert.types import Frame, Image, SourceInfo

PATIENCE_S = 20
SIZE = (384, 272)  # two rows of two tiles, each 192 x 136
pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture
def video() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.go_on.set()


def show_all(to: Tile, count: int, rate: int = 25, reason: str = "") -> None:
    to.begin(info(rate))
    for i in range(count):
        to.show(*frame(i, rate), 0.01)
    to.end(reason)


def start(*work: tuple[Tile, int, int]) -> list[threading.Thread]:
    threads = [threading.Thread(target=show_all, args=each) for each in work]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def until_told(caplog: pytest.LogCaptureFixture, what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while what not in caplog.text:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert caplog.text.count("the wall ends here") == 1


def close(wall: Wall) -> None:
    closing = threading.Thread(target=wall.close)
    closing.start()
    join([closing])


def test_each_frame_of_files_of_one_rate_is_on_the_wall(video: Kept) -> None:
    wall = Wall(video.open, ["a", "b", "c", "d"], SIZE, live=False)
    join(start(*((wall.tile(i), 40, 25) for i in range(4))))
    close(wall)
    for box in grid(4, *SIZE):
        assert video.numbers(box) == list(range(40))
    assert [f.pts for _, f in video.written] == list(range(40))
    assert video.info is not None
    assert (video.info.width, video.info.height, float(video.info.rate)) == (*SIZE, 25)
    assert (wall.frames, wall.skipped, wall.error, video.closed) == (40, 0, None, 1)


def test_files_of_different_rates_meet_at_the_same_time(video: Kept) -> None:
    wall = Wall(video.open, ["fast", "slow", "faster than the wall"], SIZE, live=False)
    join(start((wall.tile(0), 25, 25), (wall.tile(1), 5, 5), (wall.tile(2), 60, 60)))
    close(wall)
    boxes = grid(3, *SIZE)
    times = [i / 30 for i in range(30)]
    assert video.info is not None
    assert video.info.rate == 30
    assert video.numbers(boxes[0])[:29] == [int(t * 25 + 1e-6) for t in times[:29]]
    assert video.numbers(boxes[1])[:30] == [int(t * 5 + 1e-6) for t in times]
    assert video.numbers(boxes[2])[:30] == [2 * i for i in range(30)]


def test_a_file_far_ahead_of_the_wall_waits_for_the_others(video: Kept) -> None:
    wall = Wall(video.open, ["ahead", "behind"], SIZE, live=False)
    ahead = start((wall.tile(0), 200, 25))
    wall.tile(1).begin(info())
    wall.tile(1).show(*frame(0), 0.01)
    until = time.monotonic() + PATIENCE_S
    while len(video.written) < 1 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(video.written) == 1
    assert ahead[0].is_alive()
    for i in range(1, 200):
        wall.tile(1).show(*frame(i), 0.01)
    wall.tile(1).end()
    join(ahead)
    close(wall)
    for box in grid(2, *SIZE):
        assert video.numbers(box) == list(range(200))


def test_thousands_of_frames_a_second_hold_up_nobody(video: Kept) -> None:
    wall = Wall(video.open, ["fast", "slow"], SIZE, live=False)
    join(start((wall.tile(0), 1000, 1000), (wall.tile(1), 3, 3)))
    close(wall)
    assert len(video.written) == 31  # the last for the frame at 0.999 s
    assert video.numbers(grid(2, *SIZE)[1])[:30:10] == [0, 1, 2]


def test_a_source_that_ended_says_so_and_turns_grey(video: Kept) -> None:
    wall = Wall(video.open, ["short", "long"], SIZE, live=False)
    wall.tile(0).begin(info())
    colour = flat(160, 90, (200, 40, 40))

    def short() -> None:
        for i in range(10):
            wall.tile(0).show(colour, Frame(colour, i, i, i / 25), 0.01)
        wall.tile(0).end()

    shown = [threading.Thread(target=short)]
    shown[0].start()
    join([*start((wall.tile(1), 30, 25)), *shown])
    close(wall)
    box = grid(2, *SIZE)[0]
    assert [is_grey(video.part(box, at)) for at in range(30)] == [False] * 10 + [True] * 20
    middle = video.part(box, 20)[5:15, 5:15]  # of the picture: where no word is written
    assert 0 < middle.mean() < colour.mean()  # darker, and still there
    assert video.numbers(grid(2, *SIZE)[1]) == list(range(30))


def test_why_a_source_failed_is_read_in_its_tile(video: Kept) -> None:
    wall = Wall(video.open, ["broken", "good"], SIZE, live=False)
    wall.tile(0).end("broken.mp4: no such file")
    join(start((wall.tile(1), 5, 25)))
    close(wall)
    box = grid(2, *SIZE)[0]
    image = video.written[0][0]
    blue, green, red = image[box.y, box.x + box.width // 2].tolist()
    assert red > 2 * max(blue, green)  # its label
    assert (video.part(box, 0) > 128).any()  # words where a picture would be


def test_a_picture_stays_as_it_is(video: Kept) -> None:
    wall = Wall(video.open, ["photo", "clip"], SIZE, live=False)
    photo = flat(160, 90, (200, 40, 40))
    still = SourceInfo("photo", 96, 64, Fraction(25), Fraction(1, 25), still=True)
    wall.tile(0).begin(still)
    wall.tile(0).show(photo, Frame(photo, 0, 0, 0.0), 0.01)
    wall.tile(0).end()
    join(start((wall.tile(1), 10, 25)))
    close(wall)
    assert not is_grey(video.part(grid(2, *SIZE)[0], 9))


def test_a_size_that_changes_and_pixels_that_are_not_square_keep_their_shape(video: Kept) -> None:
    wall = Wall(video.open, ["one"], (640, 400), live=False)
    (box,) = grid(1, 640, 400)
    wide = SourceInfo(
        "one", 96, 96, Fraction(25), Fraction(1, 25), sample_aspect_ratio=Fraction(4, 3)
    )
    wall.tile(0).begin(wide)
    for i, (width, height) in enumerate([(96, 96), (1000, 100), (50, 400), (1, 1)]):
        image = flat(width, height, (255, 255, 255))
        wall.tile(0).show(image, Frame(image, i, i, i / 25), 0.01)
    wall.tile(0).end()
    close(wall)
    for at, shape in enumerate([4 / 3, 40 / 3, 1 / 6, 4 / 3]):
        white = middle_of(video.written[at][0], box, box.picture[0] / box.picture[1])[:, :, 0] > 0
        columns, rows = white.any(axis=0).sum(), white.any(axis=1).sum()
        assert columns / rows == pytest.approx(shape, rel=0.03)
        assert columns == box.picture[0] or rows == box.picture[1]


def test_a_gap_in_all_sources_is_not_filled_and_times_stay_true(video: Kept) -> None:
    wall = Wall(video.open, ["one"], SIZE, live=False)
    wall.tile(0).begin(info())
    for i, second in enumerate([0.0, 0.04, 3600.0, 3600.04]):
        image, _ = frame(i)
        wall.tile(0).show(image, Frame(image, i, 0, second), 0.01)
    wall.tile(0).end()
    close(wall)
    seconds = dict(zip(video.numbers(grid(1, *SIZE)[0]), video.written, strict=True))
    assert [round(f.time_s, 3) for _, f in seconds.values()] == [0.0, 0.04, 3600.0, 3600.04]
    assert len(video.written) < 10


def test_frames_whose_clock_stands_or_goes_back_harm_nothing(video: Kept) -> None:
    wall = Wall(video.open, ["bad clock", "good"], SIZE, live=False)
    good = start((wall.tile(1), 20, 25))
    wall.tile(0).begin(info())
    for i, second in enumerate([0.0, 0.4, 0.2, 0.2, 0.0, 0.5]):
        image, _ = frame(i)
        wall.tile(0).show(image, Frame(image, i, 0, second), 0.01)
    wall.tile(0).end()
    join(good)
    close(wall)
    shown = video.numbers(grid(2, *SIZE)[0])
    assert shown[0] == 0
    assert shown[10] == 4
    assert shown[13] == 5
    assert video.numbers(grid(2, *SIZE)[1]) == list(range(20))


def test_an_encoder_that_fails_holds_nobody(video: Kept) -> None:
    video.fails_at = 3
    wall = Wall(video.open, ["a", "b"], SIZE, live=False)
    join(start((wall.tile(0), 100, 25), (wall.tile(1), 100, 25)))
    close(wall)
    assert str(wall.error) == "full"
    assert (len(video.written), video.closed) == (3, 1)
    wall.close()
    assert video.closed == 1


def test_a_video_that_cannot_be_opened_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "wall.mp4"
    wall = Wall(lambda about: video_writer(target, about), ["a"], SIZE, live=False)
    join(start((wall.tile(0), 50, 25)))
    until_told(caplog, "cannot be written")
    close(wall)
    assert isinstance(wall.error, OutputError)
    assert wall.paths == []


def test_a_video_that_hangs_is_left(video: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile, "_HANGS_S", 0.5)
    video.go_on.clear()
    wall = Wall(video.open, ["a", "b"], SIZE, live=False)
    join(start((wall.tile(0), 100, 25), (wall.tile(1), 100, 25)))
    close(wall)
    assert "took nothing" in str(wall.error)
    assert (wall.frames, wall.paths) == (0, [])
    video.go_on.set()


def test_a_fault_of_ours_is_raised_where_the_wall_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault(about: SourceInfo) -> ImageWriter:
        raise ZeroDivisionError

    wall = Wall(fault, ["a"], SIZE, live=False)
    join(start((wall.tile(0), 20, 25)))
    until_told(caplog, "ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        wall.close()
    wall.close()


def test_a_file_that_hangs_holds_the_others_for_a_moment_only(
    video: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ticks, "_HELD_S", 0.3)
    wall = Wall(video.open, ["hangs", "good", "never begun"], SIZE, live=False)
    wall.tile(0).begin(info())
    for i in range(4):  # as many as may wait
        wall.tile(0).show(*frame(i), 0.01)
    join(start((wall.tile(1), 60, 25)))
    for i in range(4, 8):
        wall.tile(0).show(*frame(i), 0.01)
    close(wall)
    boxes = grid(3, *SIZE)
    assert video.numbers(boxes[1])[:60] == list(range(60))
    assert "hangs sent nothing" in caplog.text
    assert "never begun sent nothing" in caplog.text
    assert "good sent nothing" not in caplog.text
    hanging = video.numbers(boxes[0])
    assert hanging[:4] == list(range(4))


def test_the_end_releases_a_source_that_waits(video: Kept) -> None:
    wall = Wall(video.open, ["waits", "never begun"], SIZE, live=False)
    waiting = start((wall.tile(0), 6, 25))
    time.sleep(0.1)
    assert waiting[0].is_alive()
    close(wall)
    join(waiting)


def test_a_wall_of_nothing_writes_nothing(video: Kept) -> None:
    for live in (False, True):
        wall = Wall(video.open, ["a", "b"], SIZE, live=live)
        wall.tile(0).end("no such file")
        close(wall)
        assert (wall.frames, wall.paths, wall.error, video.info) == (0, [], None, None)


def test_a_wall_in_segments_says_which_files_it_is(tmp_path: Path) -> None:
    path = tmp_path / "wall.mp4"
    (tmp_path / "wall-00004.mp4").write_bytes(b"of an earlier run")
    wall = Wall(lambda about: video_writer(path, about, segment_s=1.0), ["a"], SIZE, live=False)
    join(start((wall.tile(0), 60, 25)))
    close(wall)
    assert wall.paths == [tmp_path / f"wall-0000{n}.mp4" for n in (5, 6, 7)]
    assert sum(len(read(each)) for each in wall.paths) == 60


class To:
    """Sends what ``Kept`` keeps."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def write(self, image: Image, pts: int) -> None:
        self._kept.write(image, Frame(image, pts, pts, 0.0))

    def close(self, end_pts: int | None = None) -> None:
        self._kept.close()


@pytest.mark.parametrize("fails_at", [0, 3, -1])
def test_a_wall_that_is_sent_has_its_address_once_a_frame_went_there(fails_at: int) -> None:
    address, sent = Path("rtsp://host/wall"), Kept(fails_at=fails_at)
    wall = Wall(lambda about: OneFile(address, To(sent)), ["a"], SIZE, live=False)
    join(start((wall.tile(0), 5, 25)))
    close(wall)
    assert wall.paths == ([] if fails_at == 0 else [address])
    assert (wall.error is None) == (fails_at < 0)


def test_a_wall_is_a_video_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "wall.mp4"
    wall = Wall(lambda about: video_writer(path, about), ["a", "b"], SIZE, live=False)
    join(start((wall.tile(0), 30, 25), (wall.tile(1), 20, 25)))
    close(wall)
    boxes = grid(2, *SIZE)
    images = read(path)
    assert wall.paths == [path]
    assert len(images) == 30
    for box, count in zip(boxes, (30, 20), strict=True):
        shown = [number_of(middle_of(image, box)) for image in images[:count]]
        assert shown == list(range(count))
