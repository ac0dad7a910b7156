"""Files and live pipelines through the GStreamer that is installed here."""

from __future__ import annotations

import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making.clips import clip, quadrants, turn

from posert.errors import ConfigError, InputError, StreamEnded, StreamStalled
from posert.runtime.sources.gstreamer import GstCapture, GstFile
from posert.runtime.sources.source import Reading, Source, Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Frame

pytestmark = [pytest.mark.gst, pytest.mark.usefixtures("gst", "no_threads_left")]

# FFmpeg's and GStreamer's converters round differently, and one interpolates colours
LEVELS = 3.0
SOON = Reading(open_timeout_s=5, read_timeout_s=0.5)


def frames(source: Source, span: Span | None = None) -> list[Frame]:
    try:
        return list(source.frames(span or Span()))
    finally:
        source.close()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "mov", "ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_file_has_the_frames_it_has_through_ffmpeg(
    tmp_path: Path, codec: str, ending: str
) -> None:
    if (codec, ending) == ("libx265", "avi"):
        pytest.skip("AVI holds no HEVC that players agree on")
    path = clip(tmp_path / f"in.{ending}", 40, codec=codec)
    wanted, found = frames(VideoFile(path)), frames(GstFile(path))
    assert [(f.index, f.pts) for f in found] == [(f.index, f.pts) for f in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.image, b.image, atol=LEVELS)


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libvpx-vp9"])
def test_other_codecs(tmp_path: Path, codec: str) -> None:
    path = clip(tmp_path / "in.mkv", 12, codec=codec)
    wanted, found = frames(VideoFile(path)), frames(GstFile(path))
    assert [f.pts for f in found] == [f.pts for f in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < LEVELS


@pytest.mark.parametrize("size", [(98, 66), (97, 65)])
def test_sizes_whose_rows_are_padded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = clip(tmp_path / "in.mp4", [quadrants(size[0] // 2 * 2, size[1] // 2 * 2)] * 5)
    wanted, found = frames(VideoFile(path)), frames(GstFile(path))
    assert len(found) == 5
    assert np.abs(found[0].image.astype(int) - wanted[0].image).mean() < LEVELS


@pytest.mark.parametrize("span", [Span(start_s=0.5), Span(every=3), Span(0.2, 4, 3)], ids=str)
def test_a_part_of_a_file(tmp_path: Path, span: Span) -> None:
    path = clip(tmp_path / "in.mp4", 40)
    wanted, found = frames(VideoFile(path), span), frames(GstFile(path), span)
    assert [(f.index, f.pts) for f in found] == [(f.index, f.pts) for f in wanted]


def test_times_of_a_variable_rate(tmp_path: Path) -> None:
    path = clip(tmp_path / "in.mkv", 6, pts=[0, 40, 50, 300, 310, 900], time_base=Fraction(1, 1000))
    assert [f.pts for f in frames(GstFile(path))] == [0, 40, 50, 300, 310, 900]


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_a_turned_file_is_upright(tmp_path: Path, clockwise: int) -> None:
    path = turn(clip(tmp_path / "in.mp4", [quadrants()] * 2), clockwise)
    (wanted, _), (found, _) = frames(VideoFile(path)), frames(GstFile(path))
    np.testing.assert_allclose(found.image, wanted.image, atol=LEVELS)


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "a\\b", "a!b ! fakesink", "ä=1;", '"x"'])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / f"{name}.mp4", 5)
    assert len(frames(GstFile(path))) == 5


def test_sound_is_where_ffmpeg_finds_it(tmp_path: Path) -> None:
    path = clip(tmp_path / "in.mp4", 25, sound="aac")
    source = GstFile(path)
    assert source.info.audio == path
    assert len(frames(source)) == 25


def test_a_file_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    path = clip(tmp_path / "in.mp4", 60, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, found = GstFile(path), []
    with pytest.raises(InputError, match="ends early"):  # noqa: PT012
        for frame in source.frames(Span()):
            found.append(frame)
    source.close()
    assert len(found) > 20


def test_a_pipeline_of_the_users_own() -> None:
    capture = GstCapture("gst://videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48", SOON)
    assert capture.read().picture.shape == (48, 64, 3)  # type: ignore[union-attr]
    with pytest.raises(StreamEnded, match="closed by the other side"):  # noqa: PT012
        for _ in range(4):
            capture.read()
    assert capture.skipped == 0
    capture.close()
    capture.close()


def test_a_stream_that_freezes_ends_the_read_in_time() -> None:
    slow = "gst://videotestsrc is-live=true ! identity sleep-time=1500000"
    capture = GstCapture(slow, SOON)
    capture.read()
    with pytest.raises(StreamStalled, match=r"nothing for 0\.5 s"):  # noqa: PT012
        for _ in range(3):
            capture.read()
    capture.close()


def test_a_source_that_sends_nothing_ends_in_time() -> None:
    with pytest.raises(StreamStalled, match=r"no picture within 0\.5 s"):
        GstCapture("gst://udpsrc port=0 ! h264parse", Reading(open_timeout_s=0.5))


class Nothing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        return


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (
            "gst://videotestsrc ! nonsense",
            ConfigError,
            "GStreamer lacks nonsense .no package known",
        ),
        ("gst://nvarguscamerasrc", ConfigError, r"nvarguscamerasrc \(JetPack: nvidia-l4t-gst"),
        ("gst://videotestsrc foo=1", ConfigError, 'no property "foo" in element "videotestsrc"'),
        ("rtsp://me:secret@127.0.0.1:9/x", InputError, r"rtsp://me:\*\*\*@.*Failed to connect"),
        ("http://127.0.0.1:{port}/none?token=secret", InputError, r"URL: .*none\?token=\*\*\*"),
        ("/dev/video77", InputError, r"Cannot identify device '/dev/video77'"),
        ("csi://0", ConfigError, "nvarguscamerasrc .JetPack"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    address: str, error: type[Exception], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with pytest.raises(error, match=message) as refused:
            GstCapture(address.format(port=server.server_port), SOON)
        server.shutdown()
        thread.join()
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert capfd.readouterr().err == ""  # neither OpenCV nor GStreamer says it again
