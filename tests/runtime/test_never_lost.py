"""What was written plays, whatever goes wrong: the disk, the encoder, the folder, the sound."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from making.clips import clip, read, sound_packets, times
from making.command import Command, ended, start
from making.networks import read_lines
from making.numbered import numbered, numbers_of

import posert.runtime.sinks.audio as audio
from posert.errors import OutputError
from posert.running import run
from posert.runtime.sinks.disk import DiskSync
from posert.runtime.sinks.sink import TextFile
from posert.runtime.sinks.video import VideoWriter
from posert.types import SourceInfo

TICK = Fraction(1, 25)


def info(sound: Path | None = None) -> SourceInfo:
    return SourceInfo("made", 96, 64, Fraction(25), TICK, audio=sound)


def noise(count: int) -> Iterator[np.ndarray]:
    """Pictures that no encoder makes small."""
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random.integers(0, 255, (64, 96, 3), np.uint8)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return clip(tmp_path / "long.mkv", noise(100), options={}, sound="aac")


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size; skips where it may not be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_a_full_disk_ends_the_video_where_it_was_full(
    posert: Command, tmp_path: Path, long: Path, dots: Path, ending: str
) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        output = disk / f"o{ending}"
        outcome = posert(
            "run", long, "-o", output, "--jsonl", tmp_path / "o.jsonl", "--model", dots
        )  # fmt: skip
        assert outcome.code == 5
        assert outcome.refusal() == (
            f"posert: {output}: cannot be written: got No space left on device; free some space"
        )
        frames = len(read(output))  # raises where the last picture is torn
        assert 10 < frames < 100
        assert times(output) == times(long)[:frames]
    lines = read_lines(tmp_path / "o.jsonl")
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert frames <= len(lines) <= 100


def test_a_full_disk_of_one_output_leaves_the_others_complete(
    posert: Command, tmp_path: Path, long: Path, walk: Path, dots: Path
) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "long.mp4").symlink_to(disk / "long.mp4")
        outcome = posert(
            "run", long, walk, "-o", tmp_path / "out", "--csv", tmp_path / "o.csv", "--model", dots
        )  # fmt: skip
        assert outcome.code == 7
        assert len(read(disk / "long.mp4")) > 10
        assert len(read(tmp_path / "out" / "walk.mp4")) == len(read(walk))
    assert "No space left on device" in outcome.err


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_data_on_a_full_disk_end_with_a_whole_frame(
    posert: Command, tmp_path: Path, long: Path, dots: Path, kind: str
) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        output = disk / f"o.{kind}"
        outcome = posert("run", long, f"--{kind}", output, "--model", dots)
        assert outcome.code == 5
        assert "No space left on device" in outcome.err
        text = output.read_text()
    if kind == "jsonl":
        frames = [json.loads(line)["frame"] for line in text.splitlines()]
        assert frames[:3] == [0, 1, 2]
    else:
        assert len({len(row) for row in csv.reader(text.splitlines())}) == 1
    assert text.endswith("\n")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "coco"])
def test_data_of_an_earlier_run_stay_where_nothing_new_comes(
    posert: Command, tmp_path: Path, walk: Path, dots: Path, kind: str
) -> None:
    output = tmp_path / f"o.{kind}"
    assert posert("run", walk, f"--{kind}", output, "--model", dots).code == 0
    before = output.read_bytes()
    outcome = posert("run", tmp_path / "typo.mp4", f"--{kind}", output, "--model", dots)
    assert outcome.code == 3
    assert "wrote" not in outcome.err
    assert output.read_bytes() == before
    again = posert("run", walk, f"--{kind}", output, "--max-frames", "3", "--model", dots)
    assert f"wrote {output}" in again.err
    assert 0 < len(output.read_bytes()) < len(before)


def test_segments_on_a_full_disk_all_play(
    posert: Command, tmp_path: Path, long: Path, dots: Path
) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        outcome = posert("run", long, "-o", disk / "o.mp4", "--segment", "0.4", "--model", dots)
        assert outcome.code == 5
        assert "No space left on device" in outcome.refusal()
        counts = [len(read(path)) for path in sorted(disk.iterdir()) if path.stat().st_size]
    assert len(counts) > 1
    assert counts[:-1] == [10] * (len(counts) - 1)


def dies(at: int) -> Callable[[Any, Any], Any]:
    """An encode call that fails from picture ``at`` on."""
    encode = av.VideoCodecContext.encode
    count = 0

    def failing(self: Any, frame: Any = None) -> Any:
        nonlocal count
        count += 1
        if count > at:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        return encode(self, frame)

    return failing


@pytest.fixture
def dying_encoder(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def install(at: int) -> None:
        begin, failing = VideoWriter._begin, dies(at)

        class Stream:
            def __init__(self, stream: Any) -> None:
                self._stream = stream

            def encode(self, frame: Any) -> Any:
                return failing(self._stream.codec_context, frame)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._stream, name)

        def begun(self: VideoWriter, of: SourceInfo) -> None:
            begin(self, of)
            self._stream = Stream(self._stream)

        monkeypatch.setattr(VideoWriter, "_begin", begun)

    return install


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_an_encoder_that_dies_leaves_all_it_had_encoded(
    posert: Command, tmp_path: Path, long: Path, dots: Path, ending: str, dying_encoder: Any
) -> None:
    dying_encoder(61)
    output = tmp_path / f"o{ending}"
    outcome = posert("run", long, "-o", output, "--jsonl", tmp_path / "o.jsonl", "--model", dots)
    assert outcome.code == 5
    assert outcome.refusal().startswith(
        f"posert: {output}: the encoder libx264 failed, what came before is kept: got "
    )
    assert times(output) == times(long)[:61]
    assert len(read(output)) == 61
    lines = read_lines(tmp_path / "o.jsonl")
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert len(lines) >= 61


def test_a_removed_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posert.runtime.sinks.disk._EVERY_S", 0.001)
    writer = VideoWriter(tmp_path / "out" / "o.mp4", info(), "libx264")

    def go_on() -> None:
        for number in range(2000):  # the disk's thread sees it soon
            writer.write(numbered(number), number)
            threading.Event().wait(0.01)

    shutil.rmtree(tmp_path / "out")
    with pytest.raises(OutputError, match="it was removed while it was written"):
        go_on()
    writer.close()
    assert not (tmp_path / "out").exists()


def test_a_file_removed_at_the_very_end_is_told(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "o.mp4", info(), "libx264")
    writer.write(numbered(0), 0)
    (tmp_path / "o.mp4").unlink()
    with pytest.raises(OutputError, match="leave it in its place"):
        writer.close()


def test_removed_data_are_told(tmp_path: Path) -> None:
    before = threading.active_count()
    file = TextFile(tmp_path / "o.jsonl")
    file.write("{}\n")
    (tmp_path / "o.jsonl").unlink()
    with pytest.raises(OutputError, match=r"o\.jsonl: cannot be written: got it was removed"):
        file.close()
    assert threading.active_count() == before


def test_a_folder_that_may_not_be_written_any_more_keeps_the_file(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out" / "o.mp4", info(), "libx264")
    for number in range(50):
        writer.write(numbered(number), number)
        if number == 20:
            (tmp_path / "out").chmod(0o500)
            (tmp_path / "out" / "o.mp4").chmod(0)
    writer.close()
    (tmp_path / "out").chmod(0o700)
    (tmp_path / "out" / "o.mp4").chmod(0o600)
    assert numbers_of(tmp_path / "out" / "o.mp4") == list(range(50))


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network folder tells of a full disk: not by the write, but when it is put there."""

    def refuse(fd: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    writer = VideoWriter(tmp_path / "o.mp4", info(), "libx264")
    writer.write(numbered(0), 0)
    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(OutputError, match="Disk quota exceeded; free some space"):
        writer.close()


def test_a_growing_file_is_put_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    enough = threading.Event()

    def seen(fd: int) -> None:
        sizes.append(os.fstat(fd).st_size)
        if sizes[-1] == 8:
            enough.set()

    monkeypatch.setattr("posert.runtime.sinks.disk._EVERY_S", 0.001)
    monkeypatch.setattr(os, "fdatasync", seen)
    (tmp_path / "f").write_bytes(b"half")
    sync = DiskSync(tmp_path / "f")
    (tmp_path / "f").write_bytes(b"complete")
    assert enough.wait(60)
    sync.close()
    assert sizes[-1] == 8


def test_a_reader_of_a_pipe_that_goes_away_is_one_line(
    tmp_path: Path, long: Path, dots: Path
) -> None:
    pipe = tmp_path / "o.mp4"
    os.mkfifo(pipe)
    run = start("run", long, "-o", pipe, "--jsonl", tmp_path / "o.jsonl", "--model", dots)
    with pipe.open("rb") as reader:
        reader.read(20_000)
    outcome = ended(run)
    assert outcome.code == 5, outcome.err
    assert f"{pipe}: cannot be written: got Broken pipe" in outcome.refusal()
    lines = read_lines(tmp_path / "o.jsonl")
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert len(lines) >= 10


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_pipe_is_written_like_a_file(tmp_path: Path, long: Path, dots: Path, ending: str) -> None:
    pipe = tmp_path / f"o{ending}"
    os.mkfifo(pipe)
    run = start("run", long, "-o", pipe, "--model", dots)
    (tmp_path / "copy").write_bytes(pipe.read_bytes())
    assert ended(run).code == 0
    assert times(tmp_path / "copy") == times(long)


def on_disk_after(path: Path, count: int, sound: Path | None = None) -> list[Fraction]:
    """The times of the frames that a kill leaves after so many were given."""
    writer = VideoWriter(path, info(sound), "libx264")
    for number in range(count):
        writer.write(numbered(number), number)
    copy = path.with_name(f"killed{path.suffix}")
    copy.write_bytes(path.read_bytes())
    writer.close()
    return times(copy)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("seconds", [None, 4, 1])
def test_only_half_a_second_waits_for_anything(
    tmp_path: Path, ending: str, seconds: int | None
) -> None:
    """Without sound, with sound, and with sound that ends long before the picture."""
    sound = None
    if seconds is not None:
        sound = clip(tmp_path / "sound.mkv", 25 * seconds, sound="aac")
    kept = on_disk_after(tmp_path / f"o{ending}", 100, sound)
    assert len(kept) >= 100 - 13
    assert kept == [i * TICK for i in range(len(kept))]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", [None, "aac", "pcm_s16le"])
@pytest.mark.parametrize("step", [25, 50, 250])
def test_at_a_low_rate_only_the_last_frames_wait(
    tmp_path: Path, step: int, codec: str | None, ending: str
) -> None:
    """One frame in 1, 2 and 10 s: nothing older than a second, or than the frame before, waits."""
    sound = clip(tmp_path / "in.mkv", 25 * 60, sound=codec) if codec else None
    path = tmp_path / f"o{ending}"
    writer = VideoWriter(path, info(sound), "libx264")
    for number in range(6):
        writer.write(numbered(number), number * step)
    copy = tmp_path / f"killed{ending}"
    copy.write_bytes(path.read_bytes())
    writer.close()
    assert numbers_of(copy)[:5] == [0, 1, 2, 3, 4]


class Broken(audio.AudioCopy):
    """Sound whose packets FFmpeg refuses from the tenth on."""

    sent = 0

    def _mux(self, packet: Any) -> None:
        self.sent += 1
        if self.sent >= 10:
            raise av.error.InvalidDataError(1094995529, "Invalid data found")
        super()._mux(packet)


def test_sound_that_breaks_ends_alone(
    tmp_path: Path, long: Path, dots: Path, posert: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "AudioCopy", Broken)
    outcome = posert("run", long, "-o", tmp_path / "o.mp4", "--model", dots)
    assert outcome.code == 0, outcome.err
    assert "the sound ends early: " in outcome.err
    assert times(tmp_path / "o.mp4") == times(long)
    assert 5 < len(sound_packets(tmp_path / "o.mp4")) < 10


def test_sound_that_cannot_be_opened_leaves_the_video_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = VideoWriter(tmp_path / "o.mp4", info(tmp_path / "gone.mp4"), "libx264")
    writer.write(numbered(7), 0)
    writer.close()
    assert numbers_of(tmp_path / "o.mp4") == [7]
    assert "the video is silent" in caplog.text


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_a_complete_file_tells_its_length_and_can_be_sought(tmp_path: Path, ending: str) -> None:
    writer = VideoWriter(tmp_path / f"o{ending}", info(), "libx264")
    for number in range(200):
        writer.write(numbered(number), number)
    writer.close()
    with av.open(str(tmp_path / f"o{ending}")) as container:
        assert container.duration == pytest.approx(8e6, abs=1e5)
        container.seek(5_000_000)
        first = next(container.decode(video=0))
        assert 2.9 <= float(first.time or 0) <= 5  # a key frame at most two seconds before


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.jsonl", "o.csv"])
def test_two_runs_do_not_write_one_file(tmp_path: Path, walk: Path, dots: Path, name: str) -> None:
    """The second is refused and harms nothing of what the first has written."""
    path = tmp_path / name
    first = DiskSync(path)
    path.write_bytes(b"of the first run")
    kind = "output" if path.suffix in (".mp4", ".mkv") else path.suffix[1:]
    option: dict[str, Any] = {kind: path}
    report = run(walk, model=str(dots), **option)
    first.close()
    assert report.exit_code == 5
    told = str(report.failure or report.sources[0].error)
    assert told.startswith(f"{path}: cannot be written: got another run writes it")
    assert path.read_bytes() == b"of the first run"
    assert run(walk, model=str(dots), **option).exit_code == 0  # it is free again
