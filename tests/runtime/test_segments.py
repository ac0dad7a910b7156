"""``--segment``: files follow each other; every frame is in exactly one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from making.clips import clip, read, sound_packets, times
from making.command import Command
from making.numbered import numbered, numbers_of

from posert.errors import ConfigError, OutputError, PosertError
from posert.runtime.sinks import stream_address, video_writer
from posert.runtime.sinks.segments import Segments
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.sinks.video import VideoWriter
from posert.types import Frame, SourceInfo

MS = Fraction(1, 1000)


def info(time_base: Fraction = Fraction(1, 25), rate: Fraction = Fraction(25)) -> SourceInfo:
    return SourceInfo("made", 96, 64, rate, time_base)


def frame(number: int, pts: int, time_base: Fraction, size: tuple[int, int] = (96, 64)) -> Frame:
    return Frame(numbered(number, *size), number, pts, float(pts * time_base))


def written(
    writer: ImageWriter, pts: Sequence[int], time_base: Fraction, size: tuple[int, int] = (96, 64)
) -> list[Path]:
    """Frames 0, 1, ... at ``pts`` into ``writer``; the files there are then."""
    for number, at in enumerate(pts):
        made = frame(number, at, time_base, size)
        writer.write(made.image, made)
    writer.close()
    return writer.paths


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_every_frame_is_in_exactly_one_file(tmp_path: Path, ending: str) -> None:
    writer = video_writer(tmp_path / f"o{ending}", info(), "libx264", 2)
    paths = written(writer, range(130), Fraction(1, 25))
    assert [path.name for path in paths] == [f"o-{i:05d}{ending}" for i in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == paths
    assert [numbers_of(path) for path in paths] == [
        list(range(50)), list(range(50, 100)), list(range(100, 130))
    ]  # fmt: skip


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_each_file_begins_at_time_0_with_a_key_frame(tmp_path: Path, ending: str) -> None:
    writer = video_writer(tmp_path / f"o{ending}", info(), "libx264", 0.48)
    for path in written(writer, range(100, 148), Fraction(1, 25)):
        with av.open(str(path)) as container:
            first = next(container.demux(video=0))
            assert (first.is_keyframe, first.pts) == (True, 0)
        assert times(path) == [Fraction(i, 25) for i in range(12)]


def test_boundaries_are_multiples_of_the_length_at_a_variable_rate(tmp_path: Path) -> None:
    pts = [0, 3, 333, 999, 1000, 1001, 1002, 2500, 2999, 3000, 9700, 9701]
    writer = video_writer(tmp_path / "o.mp4", info(MS), "libx264", 1)
    paths = written(writer, pts, MS)
    # 2 to 3 s, 3 to 4 s; what has no frame has no file
    assert [numbers_of(path) for path in paths] == [
        [0, 1, 2, 3], [4, 5, 6], [7, 8], [9], [10, 11]
    ]  # fmt: skip
    assert times(paths[2]) == [0, Fraction(499, 1000)]


def test_a_clock_that_jumps_back_opens_no_file_and_loses_no_frame(tmp_path: Path) -> None:
    writer = video_writer(tmp_path / "o.mp4", info(MS), "libx264", 1)
    paths = written(writer, [0, 500, 1000, 1100, 20, 40, 1500, 2000], MS)
    assert [numbers_of(path) for path in paths] == [[0, 1], [2, 3, 4, 5, 6], [7]]


def test_a_second_run_goes_on_behind_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        written(video_writer(tmp_path / "o.mp4", info(), "libx264", 1), range(50), Fraction(1, 25))
    (tmp_path / "o-00002.mp4").unlink()  # as a clean-up of old files does
    paths = written(
        video_writer(tmp_path / "o.mp4", info(), "libx264", 1), range(25), Fraction(1, 25)
    )
    assert [path.name for path in paths] == ["o-00005.mp4"]
    assert numbers_of(tmp_path / "o-00001.mp4") == list(range(25))


def test_two_runs_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    writers = [video_writer(tmp_path / "o.mp4", info(), "libx264", 1) for _ in range(2)]
    for number in range(60):
        for writer in writers:
            made = frame(number, number, Fraction(1, 25))
            writer.write(made.image, made)
    for writer in writers:
        writer.close()
        assert [n for path in writer.paths for n in numbers_of(path)] == list(range(60))
    assert not set(writers[0].paths) & set(writers[1].paths)


def test_a_new_size_is_fitted_and_the_next_file_takes_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = video_writer(tmp_path / "o.mp4", info(), "libx264", 1)
    for number in range(75):
        size = (96, 64) if number < 15 else (192, 128)
        made = frame(number, number, Fraction(1, 25), size)
        writer.write(made.image, made)
    writer.close()
    assert [n for path in writer.paths for n in numbers_of(path)] == list(range(75))
    sizes = [{image.shape[1::-1] for image in read(path)} for path in writer.paths]
    assert sizes == [{(96, 64)}, {(192, 128)}, {(192, 128)}]
    told = [r.getMessage() for r in caplog.records if "from here on" in r.getMessage()]
    assert len(told) == 1
    assert "frames are 192 x 128 from here on, scaled into its 96 x 64" in told[0]


def test_what_begins_when_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written(video_writer(tmp_path / "o.mp4", info(), "libx264", 1), range(30), Fraction(1, 25))
    assert f"{tmp_path / 'o-00002.mp4'}: begins at 1.000 s" in caplog.text


def test_the_sound_is_cut_where_the_picture_is(tmp_path: Path, posert: Command, dots: Path) -> None:
    source = clip(tmp_path / "in.mp4", 75, sound="aac")
    outcome = posert(
        "run", source, "-o", tmp_path / "o.mp4", "--segment", "1", "--model", dots
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    paths = sorted(tmp_path.glob("o-*.mp4"))
    assert [len(times(path)) for path in paths] == [25, 25, 25]
    pieces = [sound_packets(path) for path in paths]
    wanted = [p.data for p in sound_packets(source) if p.time_s >= 0]
    found = [p.data for piece in pieces for p in piece]
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(wanted))
    assert len(found) <= len(wanted) + 2  # a packet that sounds in both may be in both
    for piece in pieces:
        assert float(piece[0].time_s) == pytest.approx(0, abs=0.03)
        assert float(piece[-1].time_s) == pytest.approx(1, abs=0.1)


def test_a_file_without_a_frame_is_not_made(tmp_path: Path) -> None:
    video_writer(tmp_path / "o.mp4", info(), "libx264", 1).close()
    video_writer(tmp_path / "p.mp4", info(), "libx264").close()
    assert list(tmp_path.iterdir()) == []


class Refused:
    """Opens the first file, and none after it."""

    def __init__(self, error: type[PosertError]) -> None:
        self.opened = 0
        self.error = error

    def __call__(self, path: Path, of: SourceInfo) -> VideoWriter:
        self.opened += 1
        if self.opened > 1:
            raise self.error(f"{path}: cannot be written")
        return VideoWriter(path, of, "libx264")


@pytest.mark.parametrize("error", [OutputError, ConfigError])
def test_a_next_file_that_cannot_be_made_leaves_the_ones_before(
    tmp_path: Path, error: type[PosertError]
) -> None:
    writer = Segments(tmp_path / "o.mp4", info(), 1, Refused(error))
    with pytest.raises(error, match=r"o-00002\.mp4: cannot be written"):
        written(writer, range(30), Fraction(1, 25))
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["o-00001.mp4"]
    assert numbers_of(tmp_path / "o-00001.mp4") == list(range(25))


class Incomplete(VideoWriter):
    def close(self, end_pts: int | None = None) -> None:
        super().close(end_pts)
        raise OutputError(f"{self._path}: could not be completed")


def test_a_file_that_could_not_be_completed_is_told(tmp_path: Path) -> None:
    writer = Segments(
        tmp_path / "o.mp4", info(), 1, lambda path, of: Incomplete(path, of, "libx264")
    )
    with pytest.raises(OutputError, match=r"o-00001\.mp4: could not be completed"):
        written(writer, range(80), Fraction(1, 25))
    with pytest.raises(OutputError, match="could not be completed"):
        writer.close()


@pytest.mark.parametrize(
    ("target", "address"),
    [
        (Path("rtsp://host:8554/pose"), "rtsp://host:8554/pose"),
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000"),
        (Path("out/a:b.mp4"), None),
        (Path("/data/o.mp4"), None),
    ],
)
def test_addresses_are_told_from_files(target: Path | str, address: str | None) -> None:
    assert stream_address(target) == address


def test_an_address_is_not_cut_into_files() -> None:
    with pytest.raises(ConfigError, match="leave out --segment"):
        video_writer("rtsp://host/pose", info(), "auto", 600)


def test_times_of_all_files_follow_each_other(tmp_path: Path) -> None:
    """Put end to end they are as long as the source: no gap, no overlap."""
    paths = written(
        video_writer(tmp_path / "o.mp4", info(MS), "libx264", 0.7), range(0, 5000, 33), MS
    )
    lengths = [len(times(path)) for path in paths]
    assert sum(lengths) == len(range(0, 5000, 33))
    firsts = [sum(lengths[:i]) * 33 for i in range(len(paths))]
    assert [first // 700 for first in firsts] == list(range(len(paths)))
    assert all(b - a >= 660 for a, b in pairwise(firsts))
