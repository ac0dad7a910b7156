"""--max-latency: live frames wait for one another no longer than they may, and lateness is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from making.sources import Blank

import posert
from posert.runtime.deadline import Deadline
from posert.runtime.pipeline import Stages, process
from posert.runtime.scheduler import Batch, Order, Scheduler
from posert.runtime.sources.source import Health, Span, State
from posert.runtime.stream import Job, Tally
from posert.runtime.timing import StageTimes
from posert.types import Frame

pytestmark = pytest.mark.usefixtures("no_threads_left")
PATIENCE_S = 30
RARE = Fraction(1, 1000)  # frames a second: half the time between two is longer than PATIENCE_S


@dataclass
class Camera(Blank):
    """Its frames arrive when they are read, or were so old then."""

    live: bool = True
    old_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.info = replace(self.info, rate=RARE)

    def frames(self, span: Span) -> Iterator[Frame]:
        for frame in super().frames(span):
            yield replace(frame, seen_s=time.monotonic() - self.old_s)


def first_batch(cameras: list[Camera], max_latency_s: float) -> Batch[str]:
    orders = [Order(c.name, lambda c=c: c, own_turn=True) for c in cameras]  # type: ignore[misc]
    deadline = Deadline(max_latency_s)
    scheduler = Scheduler(orders, Span(), StageTimes(), most=8, at_once=1, deadline=deadline)
    batches = scheduler.batches(threading.Event())
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(next, batches).result(PATIENCE_S)
    batches.close()
    return batch


def sends_after(other: Camera, released: threading.Event) -> Camera:
    """A camera whose first frame comes once ``other``'s waits."""

    def before(i: int) -> None:
        while not other.sent:
            time.sleep(0.001)
        if i:
            released.wait(PATIENCE_S)

    return Camera("second", before=before)


def test_a_frame_waits_for_the_other_cameras_within_its_time() -> None:
    released = threading.Event()
    first = Camera("first", before=lambda i: i == 0 or released.wait(PATIENCE_S))
    batch = first_batch([first, sends_after(first, released)], max_latency_s=600)
    released.set()
    assert sorted(taken.owner for taken in batch) == ["first", "second"]


def test_nobody_waits_for_a_camera_that_has_stalled() -> None:
    released = threading.Event()
    stalled = Camera("stalled", before=lambda i: released.wait(PATIENCE_S))
    stalled.health = Health(State.STALLED)
    first = Camera("first", before=lambda i: i == 0 or released.wait(PATIENCE_S))
    batch = first_batch([first, stalled], max_latency_s=600)
    released.set()
    assert [taken.owner for taken in batch] == ["first"]


@pytest.mark.parametrize(("old_s", "late"), [(0.0, 0), (100.0, 3)])
def test_what_is_late_is_counted(dots: Path, old_s: float, late: int) -> None:
    estimator = posert.Pose(dots, input_size=96).estimator
    tally = Tally("camera", live=True)
    source = Camera("camera", count=3, old_s=old_s)

    def before(i: int) -> None:
        while tally.frames < i:  # or the next frame would take the place of one that waits
            time.sleep(0.001)

    source.before = before
    stages = Stages(estimator, [], max_latency_s=50)
    process([Job(tally, lambda: source, None)], Span(), stages, threading.Event(), lambda t: None)
    assert (tally.frames, tally.late) == (3, late)
