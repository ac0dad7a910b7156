"""What a run takes of the machine: cores, memory, and of GPUs what their driver tells."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from posert.bench.nvml import Nvml, Sample
from posert.bench.results import GpuUse
from posert.runtime.stream import Tally

_EVERY_S: Final = 0.05
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Usage:
    """Complete once the run is over."""

    seconds: float = 0.0
    children_s: float = 0.0  # CPU seconds of processes that it started and that have ended
    peak_memory_mb: float = 0.0
    gpus: tuple[GpuUse, ...] = ()


@contextmanager
def watched() -> Iterator[Usage]:
    """What is used until the end of the block, by this process and those that it starts."""
    usage, ended = Usage(), threading.Event()
    samples: list[list[Sample]] = []

    def sample() -> None:
        with Nvml.opened() as nvml:
            while True:
                usage.peak_memory_mb = max(usage.peak_memory_mb, memory_mb())
                samples.append(nvml.samples())
                if ended.wait(_EVERY_S):
                    return

    thread = threading.Thread(target=sample, name="usage", daemon=True)
    began, used = time.perf_counter(), _children_s()
    thread.start()
    try:
        yield usage
    finally:
        usage.seconds = time.perf_counter() - began
        usage.children_s = _children_s() - used
        ended.set()
        thread.join()
        usage.gpus = tuple(map(_use, zip(*samples, strict=True)))


@dataclass(slots=True)
class Arrivals:
    """How many frames were done when, and the CPU time of this process by then; for a run.

    Of worker processes it hears some ten times a second, of many frames at once.
    """

    at_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)  # of all sources, by then
    _of_source: dict[int, int] = field(default_factory=dict)

    def __call__(self, tally: Tally) -> None:
        before = self._of_source.get(id(tally), 0)
        self._of_source[id(tally)] = tally.frames
        self.frames.append((self.frames[-1] if self.frames else 0) + tally.frames - before)
        self.at_s.append(time.perf_counter())
        self.cpu_s.append(time.process_time())

    @property
    def steady_fps(self) -> float:
        """Frames a second of the middle eight tenths."""
        total = self.frames[-1] if self.frames else 0
        left_out = total // 10
        counts = zip(self.frames, self.at_s, strict=True)
        middle = [each for each in counts if left_out < each[0] <= total - left_out]
        if not middle:
            return 0.0
        (first, began), (last, ended) = middle[0], middle[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    @property
    def intervals_s(self) -> list[float]:
        """From each frame to the next; none where several were told of at once."""
        alone = self.frames == list(range(1, len(self.frames) + 1))
        return np.diff(self.at_s).tolist() if alone else []

    @property
    def cpu_ms(self) -> float:
        """CPU time a frame, from the first to the last: neither loading nor closing counts."""
        frames = self.frames[-1] - self.frames[0] if self.frames else 0
        return 1e3 * (self.cpu_s[-1] - self.cpu_s[0]) / frames if frames > 0 else 0.0

    @property
    def cores(self) -> float:
        """CPU seconds a second, over the same time."""
        seconds = self.at_s[-1] - self.at_s[0] if self.at_s else 0.0
        return (self.cpu_s[-1] - self.cpu_s[0]) / seconds if seconds > 0 else 0.0


def give_back() -> None:
    """What is free already goes back to the system, so that it does not count for what follows."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone keeps it, and has this
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory_mb() -> float:
    """Resident memory of this process and its children, MB; shared pages count in each."""
    return sum(map(_resident, (os.getpid(), *_children()))) * _PAGE / 1e6


def _children() -> Iterator[int]:
    """The processes that any thread of this one has started; none where the kernel does not say."""
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            yield from map(int, listed.read_text().split())


def _resident(pid: int) -> int:
    """Pages."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0


def _children_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _use(samples: tuple[Sample, ...]) -> GpuUse:
    """One GPU over a run."""
    return GpuUse(
        samples[0].name,
        max(sample.memory_mb for sample in samples),
        float(np.mean([sample.busy for sample in samples])),
        float(np.mean([sample.decoder_busy for sample in samples])),
    )
