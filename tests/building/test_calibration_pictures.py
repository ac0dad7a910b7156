"""Pictures to calibrate with: spread over what is given; what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from making.clips import clip
from making.pictures import flat, nose_of_frame, picture

from posert.building.pictures import fingerprint, read_pictures, shipped_pictures, spread
from posert.errors import InputError
from posert.types import Image

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


def same(one: Image, other: Image) -> bool:
    return np.array_equal(one, other)


@pytest.mark.parametrize(
    ("count", "total", "places"),
    [(3, 5, [0, 2, 4]), (1, 5, [0]), (9, 3, [0, 1, 2]), (2, 100, [0, 99]), (4, 0, [])],
)
def test_places_are_spread(count: int, total: int, places: list[int]) -> None:
    assert spread(count, total) == places


def test_a_folder_is_taken_from_its_first_to_its_last_picture(pictures: Path) -> None:
    assert len(read_pictures(pictures, 128)) == 6
    taken = read_pictures(pictures, 2)
    expected = [picture(noses=[nose_of_frame(index)]) for index in (0, 5)]
    assert [same(a, b) for a, b in zip(taken, expected, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("count", "places"),
    [(4, (0, 3, 6, 9)), (7, (0, 2, 4, 6, 7, 9, 11)), (11, (*range(5), *range(6, 12)))],
)
def test_a_clip_is_taken_over_its_length(walk: Path, count: int, places: tuple[int, ...]) -> None:
    all_frames = read_pictures(walk, 128)
    assert len(all_frames) == 12
    taken = read_pictures(walk, count)
    assert len(taken) == count
    found = [next(i for i, b in enumerate(all_frames) if same(a, b)) for a in taken]
    assert tuple(found) == places


def test_a_clip_whose_header_does_not_tell_its_length_is_taken_to_its_end(tmp_path: Path) -> None:
    unknown = clip(tmp_path / "walk.mkv", 60)
    everything = read_pictures(unknown, 128)
    assert len(everything) == 60
    first, *_, last = read_pictures(unknown, 16)
    assert same(first, everything[0])
    assert any(same(last, one) for one in everything[-4:])


def test_one_picture_is_enough(pictures: Path) -> None:
    (taken,) = read_pictures(pictures / "0.png", 128)
    assert taken.shape == (64, 96, 3)


def test_what_cannot_be_read_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    (tmp_path / "b.jpg").write_text("no picture")
    (tmp_path / "c.mp4").write_bytes(bytes(1000))
    (tmp_path / "notes.txt").write_text("not looked at")
    assert len(read_pictures(tmp_path, 128)) == 1
    (line,) = (record.message for record in caplog.records)
    assert line.startswith("calibration: 2 of 3 files left out: ")
    assert "b.jpg" in line


def missing(folder: Path) -> Path:
    return folder / "missing"


def empty(folder: Path) -> Path:
    return folder


def texts(folder: Path) -> Path:
    (folder / "a.txt").write_text("no picture")
    return folder


def text(folder: Path) -> Path:
    return texts(folder) / "a.txt"


def corrupt_video(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(b"no video" * 100)
    return folder / "a.mp4"


def corrupt_pictures(folder: Path) -> Path:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.mark.parametrize("make", [missing, empty, texts, text, corrupt_video, corrupt_pictures])
def test_no_picture_at_all_is_refused_in_one_line(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path)
    with pytest.raises(InputError, match="calibration: no picture in ") as e:
        read_pictures(path, 128)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "address", ["0", "/dev/video0", "rtsp://me:secret@host/a", "http://host/a.mp4"]
)
def test_a_live_source_is_refused_unopened(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr("posert.building.pictures.open_source", opened)
    with pytest.raises(InputError, match="a camera or stream") as e:
        read_pictures(Path(address), 128)
    assert "secret" not in str(e.value)


def test_large_pictures_take_no_more_memory_than_720p(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), flat(2000, 1000, (1, 2, 3)))
    (taken,) = read_pictures(tmp_path, 1)
    height, width = taken.shape[:2]
    assert height * width <= 1280 * 720 * 1.01
    assert width / height == pytest.approx(2, rel=0.01)
    assert (taken == (1, 2, 3)).all()


def test_the_shipped_clip_is_there() -> None:
    taken = shipped_pictures(3)
    assert len(taken) == 3
    assert not same(taken[0], taken[2])


def test_a_fingerprint_is_of_all_pixels_and_their_order() -> None:
    one, other = picture(), picture(noses=[])
    known = fingerprint([one, other])
    assert fingerprint([one.copy(), other.copy()]) == known
    assert fingerprint([other, one]) != known
    assert fingerprint([one]) != known
    assert fingerprint([flat(4, 2, (0, 0, 0))]) != fingerprint([flat(2, 4, (0, 0, 0))])
