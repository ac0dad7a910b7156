"""Work in threads behind bounded queues: order kept, errors passed on, nothing left over."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1  # how often a waiting thread looks whether it should stop
_NICER = 5  # of 19; a third of the time of a thread that is not
_PATIENCE_S = 2.0  # how long a source that does not answer is waited for at the end


def ordered_map(
    work: Callable[[T], R],
    items: Iterator[T],
    *,
    workers: int,
    depth: int,
    name: str,
    stop: threading.Event | None = None,
    yielding: bool = False,
) -> Generator[R, None, None]:
    """``map(work, items)`` in ``workers`` threads, at most ``depth`` items under way, in order.

    ``items`` is iterated and closed in a thread of its own. An exception of ``items`` or ``work``
    is raised here, after the results of all items before it. Once ``stop`` is set no further item
    is taken; what is under way is completed. Closing the iterator ends the threads.
    ``yielding`` threads get a core when no other thread wants it (Linux).
    """
    under_way: queue.Queue[Future[R] | None] = queue.Queue(depth)
    closed = threading.Event()
    asked = stop or threading.Event()

    def feed(pool: ThreadPoolExecutor) -> None:
        try:
            for item in items:
                if asked.is_set() or not put(under_way, pool.submit(work, item), closed):
                    break
            put(under_way, None, closed)
        except BaseException as e:  # noqa: BLE001  it is raised again where results are taken
            failed: Future[R] = Future()
            failed.set_exception(e)
            put(under_way, failed, closed)
        finally:
            if isinstance(items, Generator):
                items.close()

    pool = ThreadPoolExecutor(workers, name, initializer=_yield if yielding else None)
    feeder = threading.Thread(target=feed, args=(pool,), name=f"{name}-feed", daemon=True)
    feeder.start()
    try:
        while (future := _take(under_way, asked)) is not None:
            yield future.result()
    finally:
        closed.set()
        feeder.join(timeout=_PATIENCE_S)  # a dead camera may hold it: it is a daemon
        pool.shutdown(wait=True, cancel_futures=True)


def _yield() -> None:
    """Makes the calling thread nicer than the others of this process."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.nice(_NICER)


def _take(source: queue.Queue[T | None], stop: threading.Event) -> T | None:
    """The next item; None at the end, or when after ``stop`` nothing comes for a while."""
    waited = 0.0
    while True:
        try:
            return source.get(timeout=_POLL_S)
        except queue.Empty:
            waited = waited + _POLL_S if stop.is_set() else 0.0
            if waited >= _PATIENCE_S:
                return None


def put(target: queue.Queue[T], item: T, stop: threading.Event) -> bool:
    """Puts ``item`` when there is room; False when ``stop`` came first."""
    while not stop.is_set():
        try:
            target.put(item, timeout=_POLL_S)
        except queue.Full:
            continue
        return True
    return False
