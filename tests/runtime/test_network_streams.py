"""Streams that are no RTSP: what FFmpeg's errors mean to a user, and HLS at its own pace."""

from __future__ import annotations

import functools
import socket
import threading
from contextlib import closing
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pytest
from making.clips import SIZE
from making.pictures import nose_of_frame, picture
from making.rtsp import free_port

from posert.errors import AccessDenied, InputError, StreamEnded
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.network import NetworkCapture
from posert.runtime.sources.source import Reading, Span

READING = Reading(io="ffmpeg", open_timeout_s=5, read_timeout_s=5, give_up_s=30)
RATE = 10


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        return


class Denied(Quiet):
    def do_GET(self) -> None:
        self.send_error(403)


@pytest.fixture
def hls(tmp_path: Path) -> Path:
    """A playlist of pieces of a second without an end, as a server writes while it goes on."""
    options = {"hls_time": "1", "hls_list_size": "0", "hls_flags": "omit_endlist"}
    path = tmp_path / "live.m3u8"
    with av.open(str(path), "w", format="hls", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", RATE
        for i in range(4 * RATE):
            image = picture(*SIZE, [nose_of_frame(i % 12)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def serve(handler: Any) -> tuple[ThreadingHTTPServer, str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def test_hls_comes_at_the_pace_it_was_filmed_not_in_bursts(hls: Path) -> None:
    server, url = serve(functools.partial(Quiet, directory=str(hls.parent)))
    with server, closing(open_source(f"{url}/live.m3u8", READING)) as source:
        assert source.info.live
        frames = [f for _, f in zip(range(10), source.frames(Span()), strict=False)]
        server.shutdown()
    assert source.dropped <= 5  # a burst would leave one of ten
    assert [f.time_s for f in frames] == sorted({f.time_s for f in frames})


def test_http_that_refuses_a_user_is_told_at_once() -> None:
    server, url = serve(Denied)
    with server:
        with pytest.raises(AccessDenied, match="check user and password"):
            open_source(f"{url}/live", READING)
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("rtsp://127.0.0.1:{free}/a", "Connection refused"),
        ("http://127.0.0.1:{free}/a", "Connection refused"),
        ("rtsp://no.such.host.invalid/a", "not known|resolution"),
        ("rtsp://127.0.0.1:nine/a", "a port that is no number"),
        ("nonsense://127.0.0.1/a", "Protocol not found"),
    ],
)
def test_what_cannot_be_reached_is_told_why(address: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot be opened: got .*({reason}).*; check the addr"):
        NetworkCapture(address.format(free=free_port()), READING)


def test_a_server_that_never_answers_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(InputError, match="no answer within 1 s"):
            NetworkCapture(address, Reading(io="ffmpeg", open_timeout_s=10, read_timeout_s=1))


def test_a_file_behind_http_can_be_read_in_part(walk: Path) -> None:
    server, url = serve(functools.partial(Quiet, directory=str(walk.parent)))
    with server, closing(open_source(f"{url}/walk.mp4", READING)) as source:
        assert not source.info.live
        assert source.info.frames == 12
        taken = [f.index for f in source.frames(Span(start_s=0.12, every=2, max_frames=3))]
        server.shutdown()
    assert taken == [4, 6, 8]


def test_a_file_behind_http_that_breaks_off_is_told(walk: Path) -> None:
    capture = NetworkCapture(str(walk), READING)
    capture.finite, capture.frames = True, 100
    from posert.runtime.sources.url_file import UrlFile

    with closing(UrlFile("http://host/walk.mp4", capture)) as source:
        with pytest.raises(InputError, match="ends early: got 12 frames, expected 100"):
            list(source.frames(Span()))
        with pytest.raises(StreamEnded):
            capture.read()
