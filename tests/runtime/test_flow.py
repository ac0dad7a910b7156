"""Threads behind queues: order, bounds, errors, the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

import pytest

from posert.runtime.flow import ordered_map

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("no_threads_left")


def counting(end: int, closed: threading.Event | None = None) -> Iterator[int]:
    try:
        yield from range(end)
    finally:
        if closed is not None:
            closed.set()


def collect(found: list[T], results: Iterator[T]) -> None:
    """Keeps what comes before an error."""
    for result in results:
        found.append(result)


def test_order_is_kept_however_long_each_takes() -> None:
    """Item 0 ends only after item 1 has: threads that work one after the other would hang."""
    second_done = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            assert second_done.wait(timeout=30)
        if i == 1:
            second_done.set()
        return 10 * i

    found = list(ordered_map(work, counting(20), workers=2, depth=4, name="t"))
    assert found == [10 * i for i in range(20)]


def test_no_items_give_no_results() -> None:
    assert list(ordered_map(str, counting(0), workers=3, depth=2, name="t")) == []


def test_items_under_way_are_bounded() -> None:
    taken = 0
    most_ahead = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(100):
            taken += 1
            yield i

    depth = 3
    for done, _ in enumerate(ordered_map(str, items(), workers=4, depth=depth, name="t")):
        most_ahead = max(most_ahead, taken - done)
    assert taken == 100
    assert most_ahead <= depth + 3  # one each in the feeder's hand, the consumer's, and on the way


@pytest.mark.parametrize("broken", [0, 7])
def test_an_error_of_work_comes_after_the_results_before_it(broken: int) -> None:
    def work(i: int) -> int:
        if i == broken:
            raise ValueError("at work")
        return i

    found: list[int] = []
    with pytest.raises(ValueError, match="at work"):
        collect(found, ordered_map(work, counting(100), workers=3, depth=6, name="t"))
    assert found == list(range(broken))


def test_an_error_of_the_items_comes_after_their_results() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        yield from counting(3, closed)
        raise OSError("no more")

    found: list[str] = []
    with pytest.raises(OSError, match="no more"):
        collect(found, ordered_map(str, items(), workers=2, depth=4, name="t"))
    assert found == ["0", "1", "2"]
    assert closed.is_set()


def test_closing_it_early_closes_the_items() -> None:
    closed = threading.Event()
    results = ordered_map(str, counting(10**9, closed), workers=2, depth=4, name="t")
    assert next(results) == "0"
    results.close()
    assert closed.wait(timeout=30)


def test_stop_completes_what_is_under_way_and_takes_no_more() -> None:
    stop = threading.Event()
    found = []
    for result in ordered_map(str, counting(10**9), workers=2, depth=4, name="t", stop=stop):
        found.append(int(result))
        if len(found) == 5:
            stop.set()
    assert found == list(range(len(found)))
    assert 5 <= len(found) <= 5 + 4 + 2


def test_a_source_that_hangs_does_not_keep_a_stopped_run() -> None:
    stop, released = threading.Event(), threading.Event()

    def dead_camera() -> Iterator[int]:
        yield 0
        released.wait(timeout=60)

    found = []
    for result in ordered_map(str, dead_camera(), workers=1, depth=2, name="t", stop=stop):
        found.append(result)
        stop.set()
    assert found == ["0"]
    released.set()
