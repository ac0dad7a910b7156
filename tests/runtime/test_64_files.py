"""64 files in one run, one broken in each known way: the 63 others are in the data and on disk."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from making.clips import clip, read
from making.networks import read_lines
from making.pictures import flat, picture

import posert
from posert.report import Report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_threads_left")]
SOURCES, FRAMES = 64, 6
BAD = "clip-17.mp4"  # of 64


@dataclass(frozen=True)
class Way:
    """How one input or output is broken, and what is said of it."""

    make: Callable[[Path, Path], object]  # of the input's path and of its output's
    reason: str | None  # None: nothing is wrong
    frames: range  # so many of it may be delivered


def text(source: Path, output: Path) -> None:
    source.write_text("This is no video.\n" * 100)


def no_index(source: Path, output: Path) -> None:
    data = clip(source).read_bytes()
    source.write_bytes(data[: data.index(b"moov") - 4])


def unknown_codec(source: Path, output: Path) -> None:
    source.write_bytes(clip(source).read_bytes().replace(b"avc1", b"zzz1"))


def noisy(source: Path, frames: int = 100, **more: object) -> Path:
    """Frames so hard to encode that damage hits a part of them only."""
    noise = np.random.default_rng(1).integers(0, 90, (4, 64, 96, 3), np.uint8)
    images = [np.maximum(picture(), noise[i % 4]) for i in range(frames)]
    return clip(source, images, gop=10, **more)  # type: ignore[arg-type]


def damaged(source: Path, output: Path) -> None:
    data = bytearray(noisy(source).read_bytes())
    begin, end = int(0.4 * len(data)), int(0.6 * len(data))
    data[begin:end] = bytes(end - begin)
    source.write_bytes(data)


def cut(source: Path, output: Path) -> None:
    data = noisy(source, options={"movflags": "faststart"}).read_bytes()
    source.write_bytes(data[: len(data) // 2])


def two_sizes(source: Path, output: Path) -> None:
    """A transport stream, whatever its name: 4 frames of one size, then 4 of another."""
    parts = [clip(source.with_suffix(f".{w}.ts"), [flat(w, 64, (0, 99, 0))] * 4) for w in (96, 128)]
    source.write_bytes(b"".join(part.read_bytes() for part in parts))


def folder_in_its_place(source: Path, output: Path) -> None:
    clip(source)
    output.mkdir(parents=True)


def full_disk(source: Path, output: Path) -> None:
    clip(source)
    output.parent.mkdir(parents=True)
    output.symlink_to("/dev/full")


WAYS = {
    "missing": Way(lambda source, output: None, "no such file", range(1)),
    "empty": Way(lambda source, output: source.write_bytes(b""), BAD, range(1)),
    "text": Way(text, BAD, range(1)),
    "no index": Way(no_index, BAD, range(1)),
    "unknown codec": Way(unknown_codec, BAD, range(1)),
    "a folder": Way(lambda source, output: source.mkdir(), BAD, range(1)),
    "a pipe": Way(lambda source, output: os.mkfifo(source), BAD, range(1)),
    "damaged": Way(damaged, None, range(60, 96)),
    "cut": Way(cut, "ends early", range(30, 71)),
    "two sizes": Way(two_sizes, None, range(8, 9)),
    "a folder in its output's place": Way(folder_in_its_place, "cannot be written", range(1)),
    "a full disk": Way(full_disk, "No space left", range(FRAMES + 1)),
}


DRAWN = {"damaged", "a folder in its output's place", "a full disk"}  # the others only as data


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 64 clips: four files under 64 names, so that they are made in no time."""
    folder = tmp_path_factory.mktemp("clips")
    made = [clip(folder / f"made{i}.mp4", FRAMES) for i in range(4)]
    for i in range(SOURCES):
        (folder / f"clip-{i:02d}.mp4").hardlink_to(made[i % 4])
    return folder


def inputs(clips: Path, bad: Path) -> list[str]:
    """The 64, one of them the bad one."""
    names = [f"clip-{i:02d}.mp4" for i in range(SOURCES)]
    return [str(bad if name == BAD else clips / name) for name in names]


def frames_of(data: Path) -> dict[str, list[int]]:
    """The frames of each source in the data, in their order."""
    found = defaultdict(list)
    for line in read_lines(data):
        found[Path(line["source"]).name].append(line["frame"])
    return found


def check(report: Report, tmp_path: Path, way: Way, *, decode: int) -> None:
    """All but the bad one are whole; of their videos ``decode`` are looked at."""
    data = frames_of(tmp_path / "out.jsonl")
    videos = 0
    for tally in report.sources:
        name = Path(tally.source).name
        if name == BAD:
            said = str(tally.error)
            assert (tally.error is None) == (way.reason is None), said
            assert way.reason is None or way.reason in said
            assert tally.frames in way.frames
            assert data[name] == sorted(set(data[name]))
            continue
        assert (name, tally.error, tally.frames) == (name, None, FRAMES)
        assert data[name] == list(range(FRAMES))
        if videos < decode:
            assert tally.outputs == [tmp_path / "out" / name]
            assert len(read(tmp_path / "out" / name)) == FRAMES
        videos += 1
    assert videos == SOURCES - 1
    assert report.exit_code == (0 if way.reason is None else 7)


@pytest.mark.parametrize("name", WAYS)
def test_one_of_64_files_is_broken_and_the_others_are_whole(
    clips: Path, dots: Path, tmp_path: Path, name: str
) -> None:
    way = WAYS[name]
    bad = tmp_path / BAD
    way.make(bad, tmp_path / "out" / BAD)
    drawn = name in DRAWN
    report = posert.run(
        inputs(clips, bad), output_dir=tmp_path / "out" if drawn else None,
        jsonl=tmp_path / "out.jsonl", model=str(dots), input_size=96,
    )  # fmt: skip
    check(report, tmp_path, way, decode=SOURCES if drawn else 0)


def test_a_wall_of_64_files_of_which_one_is_broken(clips: Path, dots: Path, tmp_path: Path) -> None:
    bad = tmp_path / BAD
    cut(bad, tmp_path / "out" / BAD)
    report = posert.run(
        inputs(clips, bad), output_dir=tmp_path / "out", jsonl=tmp_path / "out.jsonl",
        tile=tmp_path / "wall.mp4", tile_size="640x360", model=str(dots), input_size=96,
    )  # fmt: skip
    check(report, tmp_path, WAYS["cut"], decode=4)
    (bad_tally,) = [t for t in report.sources if Path(t.source).name == BAD]
    assert len(read(tmp_path / "wall.mp4")) == bad_tally.frames  # the longest of them
