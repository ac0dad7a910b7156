"""Live sources against connections that do what they are told: states, drops, hangs, ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from making.streams import PATIENCE_S, Camera, Hanging, Script, grey

from posert.errors import AccessDenied, InputError, StreamEnded, StreamStalled
from posert.runtime.sources.live import LiveSource
from posert.runtime.sources.reader import Reader
from posert.runtime.sources.source import Captured, Health, Reading, Span, State
from posert.types import Frame

pytestmark = pytest.mark.usefixtures("no_threads_left")

READING = Reading(open_timeout_s=PATIENCE_S, read_timeout_s=PATIENCE_S)
LOGGER = "posert.runtime.sources.live"


def opened(camera: Camera, reading: Reading = READING) -> closing[LiveSource]:
    return closing(LiveSource("cam", camera, reading))


def health(source: LiveSource) -> Health:
    assert source.health is not None
    return source.health


def number(frame: Frame) -> int:
    return int(frame.image[0, 0, 0])


def wait_until(holds: Callable[[], bool]) -> None:
    late = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.005)


def read_up_to(capture: Script, steps: int) -> None:
    """Waits until the reader asks for another step after so many."""
    for _ in range(steps + 1):
        assert capture.taken.acquire(timeout=PATIENCE_S)


def refused(camera: Camera, reading: Reading = READING) -> str:
    with pytest.raises(InputError) as error:
        LiveSource("cam", camera, reading)
    return str(error.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Reading:
    """A call that takes longer than a twentieth of a second is taken to hang."""
    monkeypatch.setattr("posert.runtime.sources.reader.GRACE_S", 0.0)
    return Reading(open_timeout_s=0.05, read_timeout_s=0.05)


def test_the_first_picture_tells_size_and_rate() -> None:
    with opened(Camera(Script(grey(width=80), rate=25))) as source:
        info = source.info
        assert (info.name, info.width, info.height, int(info.rate)) == ("cam", 80, 48, 25)
        assert info.live
        assert info.frames is None
        assert health(source).state is State.LIVE


def test_the_newest_picture_is_delivered_and_the_others_are_counted() -> None:
    capture = Script(*map(grey, range(10)))
    with opened(Camera(capture)) as source:
        read_up_to(capture, 10)
        frames = source.frames(Span())
        frame = next(frames)
        assert (number(frame), frame.index, source.dropped) == (9, 9, 9)
        capture.send(grey(10))
        frame = next(frames)
        assert (number(frame), frame.index, source.dropped) == (10, 10, 9)


def test_every_and_start_count_what_arrives() -> None:
    pictures = [Captured(grey(i), 5 + i / 10) for i in range(20)]
    capture = Script(pictures[0])
    with opened(Camera(capture)) as source:
        frames = source.frames(Span(start_s=0.35, every=4))
        taken: list[int] = []
        consumer = threading.Thread(target=lambda: taken.extend(f.index for f in frames))
        consumer.start()
        read_up_to(capture, 1)
        for i, captured in enumerate(pictures[1:], 1):
            capture.send(captured)
            read_up_to(capture, 0)
            if i >= 4 and i % 4 == 0:
                wait_until(lambda i=i: i in taken)  # type: ignore[misc]
        source.close()
        consumer.join()
    assert taken == [4, 8, 12, 16]
    assert source.dropped == 0


def test_max_frames_counts_what_is_delivered() -> None:
    capture = Script(*map(grey, range(3)))
    with opened(Camera(capture)) as source:
        read_up_to(capture, 3)
        assert [f.index for f in source.frames(Span(max_frames=1))] == [2]


def test_times_follow_the_clock_of_the_stream_and_grow() -> None:
    ticks = [100.0, 100.04, 100.08, 100.08, 100.12]
    capture = Script(Captured(grey(), ticks[0]))
    with opened(Camera(capture)) as source:
        frames = source.frames(Span())
        times = [next(frames).time_s]
        for tick in ticks[1:]:
            capture.send(Captured(grey(), tick))
            times.append(next(frames).time_s)
    assert times == pytest.approx([0, 0.04, 0.08, 0.08, 0.12], abs=0.002)
    assert times == sorted(set(times))


def test_a_lost_stream_comes_back_in_another_size(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    camera = Camera(Script(grey(), StreamEnded("cam: was closed by the other side")))
    with opened(camera) as source:
        frames = source.frames(Span())
        assert next(frames).size == (64, 48)
        wait_until(lambda: health(source).state is State.CONNECTING)
        assert health(source).reason.startswith(("was closed", "cannot be opened"))
        back = Script(grey(width=32, height=16))
        camera.offer(back)
        frame = next(frames)
        assert frame.size == (32, 16)
        assert frame.index == 1
        assert (source.info.width, source.info.height) == (64, 48)
        assert health(source).state is State.LIVE
        assert health(source).reconnects == 1
    text = caplog.text
    for line in ("cam: live, 64x48", "was closed by the other side; trying again",
                 "live again after", "pictures are now 32x16", "1 reconnections"):  # fmt: skip
        assert text.count(line) == 1, text


def test_a_refused_connection_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    camera = Camera(Script(grey(), StreamEnded("cam: gone")))
    with opened(camera):
        wait_until(lambda: camera.tries >= 4)
    assert caplog.text.count("Connection refused") == 1


def test_a_stalled_stream_is_opened_anew() -> None:
    camera = Camera(Script(grey(), StreamStalled("cam: sends nothing for 5 s")), Script(grey(7)))
    with opened(camera) as source:
        frames = source.frames(Span())
        wait_until(lambda: health(source).reconnects == 1)
        assert number(next(frames)) == 7
        assert health(source).stalls == 1
        assert health(source).reason == "sends nothing for 5 s"


def test_a_read_that_hangs_is_left_and_cleaned_up_when_it_returns(impatient: Reading) -> None:
    hangs = Hanging()
    camera = Camera(hangs, Script(grey(9)))
    with opened(camera, impatient) as source:
        assert number(next(source.frames(Span()))) == 9
        assert hangs.closed.is_set()
        assert camera.tries == 2
        hangs.release.set()


def test_pictures_of_a_connection_that_was_left_do_not_count(impatient: Reading) -> None:
    class Late(Hanging):
        def read(self) -> Captured:
            self.release.wait(PATIENCE_S)
            return Captured(grey(255), None)

    hangs = Late()
    capture = Script(grey(1))
    with opened(Camera(hangs, capture), impatient) as source:
        hangs.release.set()
        wait_until(lambda: not any(t.name == "read cam" and t.is_alive() for t in others(source)))
        assert number(next(source.frames(Span()))) == 1


def others(source: LiveSource) -> list[threading.Thread]:
    """Readers but the newest: it is the one started last."""
    return [t for t in threading.enumerate() if t.name == "read cam"][:-1]


def test_hanging_calls_do_not_pile_up(impatient: Reading) -> None:
    release = threading.Event()

    class AllHang(Camera):
        def __call__(self) -> Script:
            self.tries += 1
            release.wait(PATIENCE_S)
            raise StreamEnded("cam: late")

    camera = AllHang()
    line = refused(camera, replace(impatient, give_up_s=2))
    assert "cam: hangs: cannot be opened within 0.05 s; gave up after 2 s" in line
    assert camera.tries == 4
    release.set()


def test_a_stream_that_never_comes_is_given_up() -> None:
    assert refused(Camera(), Reading(give_up_s=0.6)) == (
        "cam: cannot be opened: got Connection refused; gave up after 0.6 s without a picture"
    )


def test_a_stream_that_does_not_come_back_is_given_up_after_what_came() -> None:
    camera = Camera(Script(grey(), StreamEnded("cam: gone")))
    with opened(camera, Reading(give_up_s=0.6)) as source:
        got: list[Frame] = []
        with pytest.raises(InputError, match=r"gave up after 0\.6 s without a picture"):
            got.extend(source.frames(Span()))
        assert health(source).state is State.FAILED
    assert health(source).state is State.FAILED


def test_a_wrong_password_is_not_tried_again() -> None:
    camera = Camera(AccessDenied("cam: access denied", fix="check user and password"))
    assert "check user and password" in refused(camera)
    assert camera.tries == 1


def test_a_camera_that_was_live_and_refuses_us_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("posert.runtime.sources.reader._REFUSED_S", 0.01)
    gone, refused_ = StreamEnded("cam: gone"), AccessDenied("cam: access denied")
    camera = Camera(Script(grey(), gone), refused_, refused_, Script(grey(), gone))
    with opened(camera) as source:
        frames = source.frames(Span())
        assert [next(frames).index for _ in range(2)] == [0, 1]
        assert health(source).reconnects == 1
        assert camera.tries >= 4


def test_a_fault_in_a_connection_is_raised_where_frames_are_taken() -> None:
    with (
        opened(Camera(Script(grey(), ZeroDivisionError("a fault")))) as source,
        pytest.raises(ZeroDivisionError),
    ):
        list(source.frames(Span()))


@pytest.mark.parametrize("capture", [Script(grey()), Script(grey(), StreamEnded("cam: gone"))])
def test_closing_ends_the_frames_of_another_thread(capture: Script) -> None:
    with opened(Camera(capture)) as source:
        got: list[Frame] = []
        consumer = threading.Thread(target=lambda: got.extend(source.frames(Span())))
        consumer.start()
        wait_until(lambda: len(got) == 1)
        source.close()
        consumer.join(PATIENCE_S)
        assert not consumer.is_alive()
        assert health(source).state is State.ENDED
    assert capture.closed.is_set()


def test_closing_during_a_read_that_hangs_does_not_wait_for_it() -> None:
    capture = HangsLater()
    source = LiveSource("cam", Camera(capture), READING)
    source.close()
    assert list(source.frames(Span())) == []
    capture.release.set()


def test_the_wait_for_the_first_picture_can_be_stopped() -> None:
    stop = threading.Event()
    camera = Camera()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(StreamEnded, match="stopped before its first picture"):
        LiveSource("cam", camera, READING, stop)


def test_damaged_pictures_are_counted_over_all_connections() -> None:
    first, second = Script(grey()), Script()
    camera = Camera(first, second)
    with opened(camera) as source:
        first.skipped = 3
        first.send(grey(), StreamEnded("cam: gone"))
        second.skipped = 2
        second.send(grey())
        wait_until(lambda: health(source).reconnects == 1)
        assert source.skipped == 5


def test_damage_before_a_break_is_counted() -> None:
    class Damaged(Script):
        def read(self) -> Captured:
            if self.taken.acquire(blocking=False):
                self.skipped = 7
                raise StreamStalled("cam: sends data, but no sound picture within 5 s")
            self.taken.release()
            return Captured(grey(), None)

    camera = Camera(Damaged(), Damaged())
    with opened(camera) as source:
        wait_until(lambda: camera.tries >= 3)
        assert source.skipped == 14


class HangsLater(Script):
    """Sends one picture, and hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()
        self.hangs = threading.Event()

    def read(self) -> Captured:
        if self.taken.acquire(blocking=False):
            self.hangs.set()
            self.release.wait(PATIENCE_S)
            raise StreamEnded("cam: late")
        self.taken.release()
        return Captured(grey(), None)

    def close(self) -> None:
        self.closed.set()


def test_many_that_hang_are_left_at_once_and_freed_when_they_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    captures = [HangsLater() for _ in range(20)]
    sources = [LiveSource("cam", Camera(capture), READING) for capture in captures]
    for capture in captures:
        assert capture.hangs.wait(PATIENCE_S)
    waits: list[float] = []
    monkeypatch.setattr(Reader, "join", lambda _, timeout_s: waits.append(timeout_s))
    for source in sources:
        source.leave()
    assert waits == []
    assert all(list(source.frames(Span())) == [] for source in sources)
    monkeypatch.setattr("posert.runtime.sources.live._PATIENCE_S", 0.0)  # their last picture is old
    for source in sources:
        source.close()
    assert sum(waits) < 1
    for capture in captures:
        capture.release.set()


def test_a_hundred_lost_connections_leave_no_thread() -> None:
    class Flaky(Camera):
        def __call__(self) -> Script:
            self.tries += 1
            return Script(grey(self.tries), StreamEnded("cam: gone"))

    camera = Flaky()
    before = threading.active_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posert.runtime.sources.backoff.FIRST_S", 0.0)
        patch.setattr("posert.runtime.sources.backoff.MOST_S", 0.0)
        with opened(camera) as source:
            frames = source.frames(Span())
            while health(source).reconnects < 100:
                next(frames)
            assert threading.active_count() == before + 1
