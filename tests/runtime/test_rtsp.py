"""A real RTSP server on the loopback: late, killed, frozen, changed, protected, nonsense."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from making.networks import read_lines
from making.rtsp import RtspServer, free_port, require_server, serving, stamp_age_s
from making.streams import PATIENCE_S

import posert as package
from posert.errors import AccessDenied, InputError
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Health, Reading, Source, Span, State
from posert.runtime.stream import Tally
from posert.types import Frame

pytestmark = [pytest.mark.gst, pytest.mark.slow, pytest.mark.usefixtures("no_threads_left")]

READING = Reading(io="ffmpeg", open_timeout_s=10, read_timeout_s=3, give_up_s=60)
CYCLES = int(os.environ.get("POSERT_CYCLES", "5"))  # 100 for the published figure
SECRET = "p@s:s/w%d"
SECRET_IN_URL = "p%40s%3As%2Fw%25d"


@pytest.fixture(autouse=True)
def server_is_here() -> None:
    require_server()


def opened(url: str, reading: Reading = READING) -> closing[Source]:
    return closing(open_source(url, reading))


def health(source: Source) -> Health:
    assert source.health is not None
    return source.health


def until(frames: Iterator[Frame], holds: Callable[[Frame], bool]) -> Frame:
    late = time.monotonic() + PATIENCE_S
    for frame in frames:
        if holds(frame):
            return frame
        assert time.monotonic() < late
    raise AssertionError("the frames ended")


def fresh(frame: Frame) -> bool:
    return stamp_age_s(frame.image) < PATIENCE_S


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_with_size_rate_and_time(transport: str) -> None:
    reading = Reading(io="ffmpeg", transport=transport)  # type: ignore[arg-type]
    with serving("--size", "640x480", "--rate", "25") as server, opened(server.url, reading) as s:
        assert (s.info.width, s.info.height, int(s.info.rate)) == (640, 480, 25)
        assert s.info.live
        taken = [frame for _, frame in zip(range(20), s.frames(Span()), strict=False)]
        assert all(map(fresh, taken))
        pts = [frame.pts for frame in taken]
        assert pts == sorted(set(pts))
        seconds = taken[-1].seen_s - taken[0].seen_s
        assert taken[-1].time_s - taken[0].time_s == pytest.approx(seconds, abs=1)


def test_a_server_that_starts_late_is_waited_for() -> None:
    port = free_port()
    started: list[RtspServer] = []
    timer = threading.Timer(1, lambda: started.append(RtspServer(port=port)))
    timer.start()
    try:
        with opened(f"rtsp://127.0.0.1:{port}/live") as source:
            assert health(source).state is State.LIVE
    finally:
        timer.join()
        started[0].kill()


def test_a_server_that_is_killed_may_come_back_with_another_size_and_rate() -> None:
    with serving("--size", "320x240") as first, opened(first.url) as source:
        frames = source.frames(Span())
        assert next(frames).size == (320, 240)
        first.kill()
        with serving("--size", "640x480", "--rate", "10", port=first.port):
            frame = until(frames, lambda frame: frame.size == (640, 480))
            assert fresh(frame)
            assert health(source).reconnects == 1
            assert health(source).stalls == 0


def test_a_server_that_freezes_is_left_and_found_again() -> None:
    with serving() as server, opened(server.url) as source:
        frames = source.frames(Span())
        next(frames)
        server.freeze()
        thaw = threading.Timer(8, server.thaw)
        thaw.start()
        until(frames, lambda frame: health(source).reconnects == 1)
        thaw.join()
        assert health(source).stalls == 1


def test_a_server_that_does_not_come_back_is_given_up_and_what_came_is_written(
    tmp_path: Path, dots: Path
) -> None:
    with serving() as server:

        def on_frame(tally: Tally) -> None:
            if tally.frames == 5:
                server.kill()

        report = package.run(
            server.url, tmp_path / "o.mp4", on_frame=on_frame, io="ffmpeg", model=str(dots),
            jsonl=tmp_path / "o.jsonl", give_up=2,
        )  # fmt: skip
    assert report.exit_code == 3
    assert "gave up after 2 s without a picture" in str(report.sources[0].error)
    assert len(read_lines(tmp_path / "o.jsonl")) == report.frames >= 5


@pytest.mark.usefixtures("gst")
def test_gstreamer_finds_a_killed_server_again() -> None:
    reading = replace(READING, io="gstreamer")
    with serving("--size", "320x240") as first, opened(first.url, reading) as source:
        frames = source.frames(Span())
        assert next(frames).size == (320, 240)
        first.kill()
        with serving("--size", "640x480", port=first.port):
            assert fresh(until(frames, lambda frame: frame.size == (640, 480)))
            assert health(source).reconnects == 1


@pytest.mark.usefixtures("gst")
@pytest.mark.parametrize("login", ["", "me:wrong@", "you:secret@"])
def test_gstreamer_is_refused_at_once_too(login: str) -> None:
    refused(login, replace(READING, io="gstreamer"))


@pytest.mark.parametrize("login", ["", "me:wrong@", "you:secret@"])
def test_a_wrong_user_or_password_is_refused_at_once(login: str) -> None:
    refused(login, READING)


def refused(login: str, reading: Reading) -> None:
    with serving("--user", "me", "--password", "secret") as server:
        url = server.url.replace("://", f"://{login}")
        with pytest.raises(AccessDenied, match=r"check user(,| and) password") as refusal:
            open_source(url, reading)
    assert "wrong" not in str(refusal.value)
    assert "secret@" not in str(refusal.value)
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize("written", [SECRET_IN_URL, "p@s:s%2Fw%25d"])
def test_signs_in_a_password_survive_and_stay_hidden(
    written: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    with (
        serving("--user", "me", "--password", SECRET) as server,
        opened(server.url.replace("://", f"://me:{written}@")) as source,
    ):
        assert source.info.name == server.url.replace("://", "://me:***@")
        assert fresh(next(source.frames(Span())))
    said = caplog.text + "".join(capfd.readouterr()) + repr(source.info)
    for secret in (SECRET, SECRET_IN_URL, written):
        assert secret not in said


def test_damaged_pictures_are_left_out_and_counted() -> None:
    with serving("--corrupt", "0.3", "--gop", "10") as server, opened(server.url) as source:
        until(source.frames(Span()), lambda frame: source.skipped >= 5 and frame.index > 20)
        assert health(source).state is State.LIVE


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp", "rtmp"])
def test_a_server_that_talks_nonsense_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def talk() -> None:
            listener.settimeout(0.1)
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(os.urandom(5000) + b"\r\n\r\n")
                except OSError:
                    continue

        talker = threading.Thread(target=talk)
        talker.start()
        address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/live"
        try:
            with pytest.raises(InputError, match=r"cannot be opened: .* gave up after 1 s"):
                open_source(address, Reading(io="ffmpeg", read_timeout_s=2, give_up_s=1))
        finally:
            over.set()
            talker.join()


def test_one_dead_stream_does_not_stop_another(tmp_path: Path, dots: Path) -> None:
    stop = threading.Event()

    def on_frame(tally: Tally) -> None:
        if tally.frames == 40:
            stop.set()

    with serving() as server:
        dead = f"rtsp://127.0.0.1:{free_port()}/live"
        report = package.run(
            [dead, server.url], stop=stop, on_frame=on_frame, io="ffmpeg", model=str(dots),
            jsonl=tmp_path / "o.jsonl", give_up=1,
        )  # fmt: skip
    alive = report.sources[1]
    assert alive.error is None
    assert alive.frames >= 40


def test_kills_and_restarts_leave_nothing_behind() -> None:
    with serving() as server:
        port = server.port
    with serving(port=port) as server, opened(server.url) as source:
        frames = source.frames(Span())
        next(frames)
        for cycle in range(1, CYCLES + 1):
            server.kill()
            wide = 320 + 64 * (cycle % 2)
            server = RtspServer("--size", f"{wide}x240", port=port)
            try:
                until(frames, lambda frame, wide=wide: frame.size[0] == wide)  # type: ignore[misc]
                if cycle == 1:
                    # a live connection's, whatever else of the first one is still ending
                    before = held()
            except BaseException:
                server.kill()
                raise
        wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
        assert health(source).reconnects >= CYCLES
        server.kill()


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def wait_until(holds: Callable[[], bool]) -> None:
    late = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < late, (threading.enumerate(), held())
        time.sleep(0.05)
