"""Videos written through the GStreamer that is installed here."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making.clips import quadrants, read, times
from making.streams import PATIENCE_S

from posert.errors import ConfigError, OutputError
from posert.runtime.sinks.gstreamer import GstWriter
from posert.types import SourceInfo

pytestmark = [pytest.mark.gst, pytest.mark.usefixtures("gst", "no_threads_left")]

RATE = Fraction(30000, 1001)
INFO = SourceInfo("x", 96, 64, RATE, 1 / RATE)
LEVELS = 8  # what H.264 at its usual quality is off in flat colours


@pytest.mark.parametrize("encoder", ["x264enc", "openh264enc"])
@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv", 'it\'s ! a "b".mp4'])
def test_what_is_written_plays(tmp_path: Path, encoder: str, name: str) -> None:
    path = tmp_path / name
    writer = GstWriter(str(path), INFO, encoder)
    for i in range(60):
        writer.write(quadrants(), i)
    writer.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate or 0) == pytest.approx(float(RATE), rel=1e-3)
    images = read(path)
    assert len(images) == 60
    assert float(times(path)[-1]) == pytest.approx(float(59 / RATE), abs=2e-3)
    np.testing.assert_allclose(images[9][16, 24], quadrants()[16, 24], atol=LEVELS)


def test_a_variable_rate_is_kept_to_real_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "o.mkv"
    info = SourceInfo("x", 96, 64, Fraction(10), Fraction(1, 1000), live=True)
    writer = GstWriter(str(path), info)
    with caplog.at_level(logging.INFO):
        for pts in (5000, 5100, 5110, 5400, 6000):
            writer.write(quadrants(), pts)
        writer.close()
    assert float(times(path)[-1]) == pytest.approx(1.0, abs=0.01)
    assert (writer.repeated, writer.left_out) == (7, 1)
    assert "7 frames repeated, 1 left out" in caplog.text


def test_a_long_gap_is_a_short_pause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "o.mkv"
    info = SourceInfo("x", 96, 64, Fraction(10), Fraction(1, 1000), live=True)
    writer = GstWriter(str(path), info)
    with caplog.at_level(logging.INFO):
        for pts in (0, 100, 3_600_100, 3_600_200, 7_200_200):
            writer.write(quadrants(), pts)
        writer.close()
    assert writer.repeated == 2 * 20
    assert float(times(path)[-1]) == pytest.approx(2 * (2 + 0.1) + 0.2, abs=0.01)
    assert caplog.text.count("3597.9 s without a frame are cut out") == 2


def test_odd_sizes_and_frames_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    writer = GstWriter(str(path), SourceInfo("x", 95, 63, Fraction(5), Fraction(1, 5)))
    writer.write(quadrants(95, 63), 0)
    writer.write(quadrants(200, 50), 1)
    writer.close()
    assert [image.shape for image in read(path)] == [(64, 96, 3)] * 2


def test_a_file_without_frames_is_removed(tmp_path: Path) -> None:
    GstWriter(str(tmp_path / "o.mp4"), INFO).close()
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_killed_writer_leaves_all_but_the_last_second(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"o.{ending}"
    script = """
        import sys, time
        from fractions import Fraction
        import numpy as np
        from posert.runtime.sinks.gstreamer import GstWriter
        from posert.types import SourceInfo
        writer = GstWriter(sys.argv[1], SourceInfo("x", 96, 64, Fraction(25), Fraction(1, 25)))
        for i in range(100):
            writer.write(np.full((64, 96, 3), i, np.uint8), i)
        time.sleep(0.5)  # GStreamer's threads take what is given
        print("written", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(read(path)) >= 75


@pytest.mark.parametrize(
    ("target", "encoder", "error", "message"),
    [
        ("o.gif", "auto", OutputError, r"\.mp4"),
        ("o.mp4", "x264", ConfigError, "did you mean 'x264enc'"),
        ("o.mp4", "nvv4l2h264enc", ConfigError, r"nvidia-l4t-gstreamer"),
        ("o.mp4/x.mp4", "auto", OutputError, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, target: str, encoder: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "o.mp4").touch()
    with pytest.raises(error, match=message):
        GstWriter(str(tmp_path / target), INFO, encoder)


def test_a_receiver_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(OutputError, match=r"\*@127\.0\.0\.1:9/x.*Failed to connect") as refused:  # noqa: PT012
        writer = GstWriter("rtsp://me:secret@127.0.0.1:9/x", INFO)
        try:
            for i in range(100_000):
                writer.write(quadrants(), i)
        finally:
            writer.close()
    assert "secret" not in str(refused.value)


def test_what_is_written_is_put_on_the_disk_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: sizes.append(os.fstat(fd).st_size))
    monkeypatch.setattr("posert.runtime.sinks.disk._EVERY_S", 0.01)
    path = tmp_path / "o.mp4"
    writer = GstWriter(str(path), INFO)
    late = time.monotonic() + PATIENCE_S
    for i in itertools.count():
        writer.write(quadrants(), i)
        if len(set(sizes)) > 3:
            break
        assert time.monotonic() < late
    writer.close()
    assert sizes[-1] == path.stat().st_size


def test_a_file_that_is_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posert.runtime.sinks.disk._EVERY_S", 0.01)
    path = tmp_path / "o.mp4"
    writer = GstWriter(str(path), INFO)
    writer.write(quadrants(), 0)
    path.unlink()
    late = time.monotonic() + PATIENCE_S
    with pytest.raises(OutputError, match="removed"):  # noqa: PT012
        for i in itertools.count(1):
            assert time.monotonic() < late
            writer.write(quadrants(), i)
    writer.close()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    full = tmp_path / "o.mp4"
    full.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    with pytest.raises(OutputError, match="No space left"):  # noqa: PT012
        writer = GstWriter(str(full), INFO)
        try:
            for i in range(100_000):
                writer.write(noise, i)
        finally:
            writer.close()


@pytest.mark.parametrize("scheme", ["udp", "rtsp"])
def test_a_host_that_does_not_exist_is_refused(scheme: str) -> None:
    """Packets to nowhere are no error of UDP's own."""
    with pytest.raises(OutputError, match=r"nowhere\.invalid:9999.*no such host"):
        GstWriter(f"{scheme}://nowhere.invalid:9999/x", INFO)
