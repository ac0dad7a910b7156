"""Opening what may take long, so that whoever waits for it can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, Protocol, TypeVar

from posert.errors import StreamEnded

_POLL_S: Final = 0.1


class _Closable(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closable)


def until_stopped(open_: Callable[[], Opened], name: str, stop: threading.Event | None) -> Opened:
    """What ``open_`` returns or raises; what is opened only after ``stop`` was set is closed.

    Raises:
        StreamEnded: ``stop`` was set before.
    """
    opening: Future[Opened] = Future()

    def run() -> None:
        try:
            opening.set_result(open_())
        except BaseException as e:  # noqa: BLE001  it is raised again where it is waited for
            opening.set_exception(e)

    threading.Thread(target=run, name=f"open {name}", daemon=True).start()
    while not wait([opening], timeout=_POLL_S).done:
        if stop is not None and stop.is_set():
            opening.add_done_callback(_close)
            raise StreamEnded(f"{name}: stopped before its first picture")
    return opening.result()


def _close(opening: Future[Opened]) -> None:
    if opening.exception() is None:
        opening.result().close()
