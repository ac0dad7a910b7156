"""Files and streams behind HTTP: over the loopback, or not there at all."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
from making.command import Command
from making.networks import read_lines
from making.pictures import nose_of_frame, picture
from making.streams import PATIENCE_S

import posert as package
from posert.errors import StreamEnded
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Reading, Span
from posert.runtime.stream import Tally

QUICK = Reading(read_timeout_s=5, give_up_s=60)


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        return


class Live(BaseHTTPRequestHandler):
    """A camera's MJPEG: one part a frame, for ever, or ``parts`` of them."""

    parts: int | None = None

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for i in itertools.islice(itertools.count(), self.parts):
            ok, data = cv2.imencode(".jpg", picture(noses=[nose_of_frame(i)]))
            assert ok
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
            except OSError:  # the reader has what it wants
                return

    def log_message(self, *args: Any) -> None:
        return


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_video_behind_http_is_read_to_its_end(
    posert: Command, tmp_path: Path, walk: Path, dots: Path
) -> None:
    with serving(functools.partial(Files, directory=str(walk.parent))) as host:
        outcome = posert(
            "run", f"http://{host}/walk.mp4", "--model", dots, "--input-size", "96",
            "-o", tmp_path / "o.mp4", "--jsonl", tmp_path / "o.jsonl",
        )  # fmt: skip
    assert outcome.code == 0, outcome.err
    lines = read_lines(tmp_path / "o.jsonl")
    assert [line["frame"] for line in lines] == list(range(12))
    assert [line["time"] for line in lines] == pytest.approx([i / 25 for i in range(12)])
    found = [line["people"][0]["keypoints"]["nose"][0] for line in lines]
    assert found == pytest.approx([nose_of_frame(i)[0] for i in range(12)], abs=1)


def test_a_missing_file_behind_http_is_refused(posert: Command, tmp_path: Path, dots: Path) -> None:
    with serving(functools.partial(Files, directory=str(tmp_path))) as host:
        url = f"http://{host}/no.mp4"
        outcome = posert("run", url, "--model", dots, "--jsonl", tmp_path / "o.jsonl")
    assert outcome.code == 3
    assert f"{url}: cannot be opened" in outcome.refusal()


def test_a_live_stream_is_followed_until_it_is_stopped(tmp_path: Path, dots: Path) -> None:
    stop = threading.Event()

    def on_frame(tally: Tally) -> None:
        if tally.frames == 10:
            stop.set()

    with serving(Live) as host:
        report = package.run(
            f"http://{host}/live.mjpg", tmp_path / "o.mp4", stop=stop, on_frame=on_frame,
            model=str(dots), jsonl=tmp_path / "o.jsonl",
        )  # fmt: skip
    assert report.stopped
    assert report.exit_code == 0
    assert report.frames >= 10
    frames = [line["frame"] for line in read_lines(tmp_path / "o.jsonl")]
    assert frames == sorted(set(frames))
    times = [line["time"] for line in read_lines(tmp_path / "o.jsonl")]
    assert times == sorted(times)


def test_a_live_stream_that_ends_is_opened_anew() -> None:
    class Short(Live):
        parts = 5

    with serving(Short) as host:
        source = open_source(f"http://{host}/", QUICK)
        frames = source.frames(Span())
        assert source.health is not None
        while source.health.reconnects < 2:
            next(frames)
        source.close()
    assert list(frames) == []


def test_a_live_stream_that_does_not_come_back_is_told(tmp_path: Path, dots: Path) -> None:
    class Short(Live):
        parts = 30

    class Once(Short):
        def do_GET(self) -> None:
            if Once.parts:
                super().do_GET()
                Once.parts = 0
            else:
                self.send_error(503)

    with serving(Once) as host:
        report = package.run(
            f"http://{host}/", model=str(dots), jsonl=tmp_path / "o.jsonl", give_up=1
        )
    assert report.exit_code == 3
    assert "gave up after 1 s without a picture" in str(report.sources[0].error)
    assert report.frames + report.sources[0].dropped > 10
    assert len(read_lines(tmp_path / "o.jsonl")) == report.frames


class Slow:
    """A server that accepts, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answer, self.closed = (threading.Event() for _ in range(3))
        self.in_time = False
        self.finite = False

    def __call__(self, address: str, reading: Reading) -> Slow:
        self.asked.set()
        self.in_time = self.answer.wait(PATIENCE_S)
        return self

    def close(self) -> None:
        self.closed.set()


@pytest.mark.usefixtures("no_threads_left")
def test_the_wait_for_an_answer_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, stop = Slow(), threading.Event()
    monkeypatch.setattr("posert.runtime.sources.network.NetworkCapture", slow)

    def stop_while_it_waits() -> None:
        slow.asked.wait(PATIENCE_S)
        stop.set()

    stopper = threading.Thread(target=stop_while_it_waits)
    stopper.start()
    with pytest.raises(StreamEnded, match=r"http://me:\*\*\*@h/: stopped before its first picture"):
        open_source("http://me:secret@h/", QUICK, stop)
    stopper.join()
    slow.answer.set()
    assert slow.closed.wait(PATIENCE_S)  # what came too late is freed
    assert slow.in_time


def test_max_frames_ends_a_live_stream(tmp_path: Path, dots: Path) -> None:
    with serving(Live) as host:
        report = package.run(
            f"http://{host}/", model=str(dots), jsonl=tmp_path / "o.jsonl", max_frames=5
        )
    assert report.exit_code == 0
    assert report.frames == 5


def test_a_password_is_printed_nowhere(posert: Command, tmp_path: Path, dots: Path) -> None:
    url = "http://me:hunter2@127.0.0.1:9/clip.mp4"  # nobody listens on the discard port
    outcome = posert(
        "run", url, "--model", dots, "-o", tmp_path / "out", "--jsonl", tmp_path / "o.jsonl"
    )
    assert outcome.code == 3
    assert "hunter2" not in outcome.out + outcome.err
    assert "http://me:***@127.0.0.1:9/clip.mp4" in outcome.refusal()


def test_a_password_is_in_no_output(tmp_path: Path, walk: Path, dots: Path) -> None:
    with serving(functools.partial(Files, directory=str(walk.parent))) as host:
        report = package.run(
            f"http://me:hunter2@{host}/walk.mp4", tmp_path / "out", model=str(dots),
            jsonl=tmp_path / "o.jsonl", csv=tmp_path / "o.csv", openpose_json=tmp_path / "op",
        )  # fmt: skip
    assert report.frames == 12
    assert "hunter2" not in repr(report)
    for path in tmp_path.rglob("*"):
        assert "hunter2" not in path.name
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
