"""Frames of many sources: fair turns, files wait, live ones show their newest."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from making.sources import Blank

from posert.errors import InputError
from posert.runtime.scheduler import Batch, End, Order, Scheduler
from posert.runtime.sources.source import Span
from posert.runtime.timing import StageTimes
from posert.types import Frame

pytestmark = pytest.mark.usefixtures("no_threads_left")
PATIENCE_S = 30


def scheduler(
    sources: list[Blank],
    most: int = 4,
    at_once: int = 100,
    span: Span | None = None,
    readers: int | None = None,
) -> Scheduler[str]:
    orders = [Order(s.name, lambda s=s: s, own_turn=s.live) for s in sources]  # type: ignore[misc]
    times = StageTimes()
    return Scheduler(orders, span or Span(), times, most=most, at_once=at_once, readers=readers)


def indices(batches: list[Batch[str]], owner: str) -> list[int]:
    items = [taken.item for batch in batches for taken in batch if taken.owner == owner]
    assert isinstance(items[-1], End)
    return [item.index for item in items[:-1] if isinstance(item, Frame)]


def test_every_frame_of_every_file_comes_in_order_with_one_end() -> None:
    batches = list(scheduler([Blank(f"{i}", 20 + i) for i in range(5)]).batches(threading.Event()))
    for i in range(5):
        assert indices(batches, f"{i}") == list(range(20 + i))
    assert all(1 <= len(batch) <= 4 for batch in batches)


def test_sources_take_turns() -> None:
    """All have four frames waiting, and more to send, when batches are asked for again."""
    frames = scheduler([Blank(name, 100) for name in "abcd"], most=6)
    batches = frames.batches(threading.Event())
    for _ in range(5):
        taken = next(batches)
        while frames._waiting < 16:
            time.sleep(0.001)
    counts = Counter(each.owner for each in taken).values()
    assert len(counts) == 4
    assert max(counts) - min(counts) <= 1
    batches.close()


def test_files_wait_to_be_taken() -> None:
    source = Blank("file", 1000)
    batches = scheduler([source], most=1).batches(threading.Event())
    next(batches)
    assert source.sent <= 1 + 4 + 1
    batches.close()
    assert source.sent <= 1 + 4 + 1
    assert source.closed.is_set()


def test_a_live_source_shows_its_newest_and_counts_the_others() -> None:
    source = Blank("camera", 50, live=True)
    first_taken = threading.Event()
    source.before = lambda i: i != 1 or first_taken.wait(PATIENCE_S)
    batches = scheduler([source]).batches(threading.Event())
    (first,) = next(batches)
    first_taken.set()
    assert source.closed.wait(PATIENCE_S)  # it sent all, though nobody took any
    rest = list(batches)
    assert isinstance(first.item, Frame)
    assert first.item.index == 0
    assert indices(rest, "camera") == [49]
    assert source.dropped == 48


def test_frames_that_a_live_source_drops_do_not_count_as_wanted() -> None:
    source = Blank("camera", 10**9, live=True)
    batches = list(scheduler([source], span=Span(max_frames=5)).batches(threading.Event()))
    assert len(indices(batches, "camera")) == 5
    assert source.closed.is_set()


def test_so_many_files_are_read_at_once() -> None:
    reading, most, lock = 0, 0, threading.Lock()

    def begin(i: int) -> None:
        nonlocal reading, most
        with lock:
            reading += i == 0
            most = max(most, reading)
            reading -= i == 9

    sources = [Blank(f"{i}", 10, before=begin) for i in range(20)]
    batches = list(scheduler(sources, at_once=3).batches(threading.Event()))
    assert most <= 3
    for i in range(20):
        assert indices(batches, f"{i}") == list(range(10))


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_a_few_threads_read_many_files(readers: int) -> None:
    threads: set[int] = set()

    def seen(i: int) -> None:
        threads.add(threading.get_ident())

    def fails(i: int) -> None:
        seen(i)
        fail(i)

    sources = [Blank(f"{i}", 10 + i, before=fails if i == 7 else seen) for i in range(23)]
    batches = list(scheduler(sources, at_once=11, readers=readers).batches(threading.Event()))
    assert len(threads) <= readers
    for i in range(23):
        assert indices(batches, f"{i}") == list(range(3 if i == 7 else 10 + i))


def test_files_read_one_at_a_time_come_one_after_the_other() -> None:
    sources = [Blank(name, 5) for name in "abc"]
    batches = scheduler(sources, at_once=1).batches(threading.Event())
    owners = [each.owner for batch in batches for each in batch if isinstance(each.item, Frame)]
    assert owners == [*"aaaaabbbbbccccc"]


def fail(i: int) -> None:
    if i == 3:
        raise InputError("b: broke off")


def test_a_source_that_fails_ends_alone() -> None:
    sources = [Blank("a"), Blank("b", before=fail), Blank("c")]
    batches = list(scheduler(sources).batches(threading.Event()))
    assert indices(batches, "a") == indices(batches, "c") == list(range(10))
    assert indices(batches, "b") == [0, 1, 2]
    (end,) = [
        each.item
        for batch in batches
        for each in batch
        if each.owner == "b" and isinstance(each.item, End)
    ]
    assert str(end.error) == "b: broke off"
    assert sources[1].closed.is_set()


def test_a_source_that_cannot_be_opened_ends_alone() -> None:
    def refuse() -> Blank:
        raise InputError("gone: no such file")

    good = Blank("good")
    orders = [Order("gone", refuse, own_turn=False), Order("good", lambda: good, own_turn=False)]
    own = Scheduler(orders, Span(), StageTimes(), most=4, at_once=1)
    batches = list(own.batches(threading.Event()))
    assert indices(batches, "good") == list(range(10))
    assert indices(batches, "gone") == []


def test_a_camera_that_hangs_harms_no_other() -> None:
    released = threading.Event()
    hangs = Blank("hangs", live=True, before=lambda i: i < 2 or released.wait(PATIENCE_S))
    other = Blank("other", 200)
    stop, taken = threading.Event(), 0
    for batch in scheduler([hangs, other]).batches(stop):
        taken += sum(each.owner == "other" for each in batch)
        if taken == 201:  # the last is its end
            stop.set()
            released.set()
    assert taken == 201


def test_a_fault_of_ours_is_not_taken_for_the_end_of_a_source() -> None:
    def fault(i: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(scheduler([Blank("a"), Blank("b", before=fault)]).batches(threading.Event()))


def test_stop_takes_no_further_frame() -> None:
    stop = threading.Event()
    sources = [Blank("file", 10**9), Blank("camera", 10**9, live=True)]
    for _ in scheduler(sources).batches(stop):
        stop.set()
    assert all(source.closed.is_set() for source in sources if source.sent)


def test_a_source_may_be_dropped_while_others_go_on() -> None:
    sources = [Blank("a", 10**9), Blank("b", 500)]
    own = scheduler(sources)
    batches: list[Batch[str]] = []
    for batch in own.batches(threading.Event()):
        if not batches:
            own.drop("a")
        batches.append(batch)
    assert indices(batches, "b") == list(range(500))
    assert len(indices(batches, "a")) <= 4


@pytest.mark.parametrize("readers", [1, 2])
def test_a_file_whose_output_is_slow_keeps_up_none_that_the_same_thread_reads(readers: int) -> None:
    sources = [Blank(name, 40) for name in "abc"]
    orders = [Order(s.name, lambda s=s: s, False, 2 if s.name == "a" else None) for s in sources]  # type: ignore[misc]
    frames: Scheduler[str] = Scheduler(
        orders, Span(), StageTimes(), most=4, at_once=3, readers=readers
    )
    batches = []
    for batch in frames.batches(threading.Event()):  # of "a" nothing is ever finished
        batches.append(batch)
        if sum(isinstance(taken.item, End) for each in batches for taken in each) == 2:
            frames.drop("a")
    assert indices(batches, "b") == indices(batches, "c") == list(range(40))
    assert indices(batches, "a") == [0, 1]


def test_a_source_may_be_dropped_when_its_end_waits_already() -> None:
    source = Blank("file", 3)
    order = Order("file", lambda: source, own_turn=False, most_out=2)
    frames: Scheduler[str] = Scheduler([order], Span(), StageTimes(), most=1, at_once=1)
    batches = frames.batches(threading.Event())
    taken = [next(batches), next(batches)]
    assert source.closed.wait(PATIENCE_S)  # the third frame and the end wait for the first two
    frames.drop("file")  # which never come out
    assert indices([*taken, *batches], "file") == [0, 1]


def test_it_is_alive_while_a_camera_is_awaited_and_not_while_nobody_takes() -> None:
    calls = [0]
    released = threading.Event()

    def alive() -> None:
        calls[0] += 1
        if calls[0] == 5:
            released.set()

    camera = Blank("camera", 2, live=True, before=lambda i: i == 0 or released.wait(PATIENCE_S))
    batches = scheduler([camera]).batches(threading.Event(), alive)
    first = next(batches)
    before = calls[0]
    time.sleep(0.5)  # five times as long as it takes to be called again
    assert calls[0] == before < 5
    assert indices([first, *batches], "camera") == [0, 1]
