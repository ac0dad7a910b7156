"""Bad files: what can be had of them is had, and the rest is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from making.clips import clip, read
from making.command import Command, Outcome
from making.networks import read_lines
from making.pictures import picture

from posert.errors import InputError
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.video_file import VideoFile

INPUT = 3


def long_clip(path: Path, **more: object) -> Path:
    """A clip of 100 noisy frames with a key frame every 10: damage hits a part of it only."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 90, (4, 64, 96, 3), np.uint8)
    images = [np.maximum(picture(), noise[i % 4]) for i in range(100)]
    return clip(path, images, gop=10, **more)  # type: ignore[arg-type]


def zeroed(path: Path, first: float, last: float) -> None:
    """Overwrites the part of a file between two shares of its length with zeros."""
    data = bytearray(path.read_bytes())
    begin, end = int(first * len(data)), int(last * len(data))
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_frame(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()


def without_index(path: Path) -> None:
    """An MP4 cut off before its index, which FFmpeg writes last."""
    clip(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


UNREADABLE: dict[str, Callable[[Path], Any]] = {
    "empty.mp4": lambda p: p.write_bytes(b""),
    "empty.png": lambda p: p.write_bytes(b""),
    "text.mp4": lambda p: p.write_text("This is no video.\n" * 100),
    "text.jpg": lambda p: p.write_text("This is no picture.\n" * 100),
    "noise.mp4": lambda p: p.write_bytes(np.random.default_rng(0).bytes(10_000)),
    "sound.mp4": audio_only,
    "no_frame.mp4": no_frame,
    "no_index.mp4": without_index,
    "folder.mp4": lambda p: p.mkdir(),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_is_refused_in_one_line(
    posert: Command, dots: Path, tmp_path: Path, name: str
) -> None:
    bad = tmp_path / name
    UNREADABLE[name](bad)
    outcome = posert("run", bad, "--model", dots, "-o", tmp_path / "out")
    assert outcome.code == INPUT
    assert str(bad) in outcome.refusal()


def test_a_missing_file_is_refused(posert: Command, dots: Path, tmp_path: Path) -> None:
    outcome = posert("run", tmp_path / "no.mp4", "--model", dots, "-o", tmp_path / "out.mp4")
    assert outcome.code == INPUT
    assert outcome.refusal() == f"posert: {tmp_path / 'no.mp4'}: no such file"
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("method", ["open", "stat"])
@pytest.mark.parametrize("name", ["in.mp4", "in.jpg"])
def test_a_file_without_permission_is_refused_and_not_called_damaged(
    tmp_path: Path, name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")  # root, as in a container, may read all

    path = tmp_path / name
    path.write_bytes(b"some")
    monkeypatch.setattr(Path, method, forbidden)
    reason = r"cannot be read: permission denied; check its rights and those of its folders$"
    with pytest.raises(InputError, match=rf"{name}: {reason}"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["in.mp4", "in.jpg"])
def test_what_is_no_file_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    reason = "is a pipe: expected a file or an address; write it into a file first"
    with pytest.raises(InputError, match=f"{name}: {reason}"):
        open_source(str(tmp_path / name))
    (tmp_path / "null.mp4").symlink_to("/dev/null")
    with pytest.raises(InputError, match="is a device: expected a file or an address"):
        open_source(str(tmp_path / "null.mp4"))
    with pytest.raises(InputError, match="is a folder: expected a file or an address"):
        VideoFile(tmp_path)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: got File name too long"):
        VideoFile(tmp_path / ("x" * 300 + ".mp4"))


def processed(posert: Command, dots: Path, source: Path) -> Outcome:
    """Runs ``source`` into out.mp4 and out.jsonl beside it."""
    video, data = source.with_name("out.mp4"), source.with_name("out.jsonl")
    return posert("run", source, "--model", dots, "-o", video, "--jsonl", data)


@pytest.mark.parametrize("name", ["in.ts", "in.avi", "in.mkv", "front.mp4", "fragments.mp4"])
def test_what_comes_before_a_cut_is_processed(
    posert: Command, dots: Path, tmp_path: Path, name: str
) -> None:
    flags = {"front.mp4": "faststart", "fragments.mp4": "frag_keyframe+empty_moov"}.get(name)
    source = long_clip(tmp_path / name, options={"movflags": flags} if flags else None)
    cut(source, 0.5)
    outcome = processed(posert, dots, source)
    frames = len(read(tmp_path / "out.mp4"))
    assert 30 <= frames <= 70
    assert len(read_lines(tmp_path / "out.jsonl")) == frames
    if name in ("front.mp4", "in.avi"):  # their headers promise how many there should be
        assert outcome.code == INPUT
        assert f"{source}: ends early: got {frames} frames, expected 100" in outcome.err
    else:
        assert outcome.code in (0, INPUT)
    assert f"{frames} frames" in outcome.err


@pytest.mark.parametrize("name", ["in.mp4", "in.ts", "in.avi", "in.mkv"])
def test_damage_in_the_middle_is_skipped_counted_and_told(
    posert: Command, dots: Path, tmp_path: Path, name: str
) -> None:
    source = long_clip(tmp_path / name)
    zeroed(source, 0.4, 0.6)
    outcome = processed(posert, dots, source)
    assert outcome.code == 0, outcome.err
    lines = read_lines(tmp_path / "out.jsonl")
    assert 60 <= len(lines) <= 95
    assert len(read(tmp_path / "out.mp4")) == len(lines)
    assert lines[0]["time"] == 0
    if name != "in.avi":  # it has no timestamps: what follows the damage moves up
        assert lines[-1]["time"] == pytest.approx(99 / 25, abs=0.001)
    assert "damaged frames skipped" in outcome.err
    if name in ("in.mp4", "in.avi"):
        assert f"{100 - len(lines)} damaged frames skipped" in outcome.err


def test_one_bad_input_leaves_the_others_complete(
    posert: Command, dots: Path, tmp_path: Path, walk: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("This is no video.")
    clip(tmp_path / "last.mkv", 5)
    outcome = posert(
        "run", walk, bad, tmp_path / "last.mkv", "--model", dots, "-o", tmp_path / "out",
        "--jsonl", tmp_path / "out.jsonl",
    )  # fmt: skip
    assert outcome.code == 7
    assert str(bad) in outcome.refusal()
    assert len(read(tmp_path / "out" / "walk.mp4")) == 12
    assert len(read(tmp_path / "out" / "last.mp4")) == 5
    assert len(read_lines(tmp_path / "out.jsonl")) == 17
    assert not (tmp_path / "out" / "bad.mp4").exists()


def test_all_inputs_bad_is_the_code_of_the_first(
    posert: Command, dots: Path, tmp_path: Path
) -> None:
    bad = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    outcome = posert("run", *bad, "--model", dots, "-o", tmp_path / "out")
    assert outcome.code == INPUT
    assert all(str(path) in outcome.err for path in bad)


def test_a_damaged_jpeg_is_no_traceback(posert: Command, dots: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    cv2.imwrite(str(path), picture(640, 480))
    cut(path, 0.1)
    outcome = posert("run", path, "--model", dots, "-o", tmp_path / "out.png")
    assert outcome.code in (0, INPUT)
    assert "Traceback" not in outcome.err
