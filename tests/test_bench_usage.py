"""What ``posert bench`` says of memory, cores, GPUs and the machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from posert.bench.environment import _cpu, environment
from posert.bench.nvml import Nvml
from posert.bench.usage import Arrivals, memory_mb, watched
from posert.runtime.stream import Tally


def test_the_peak_is_told_though_it_is_given_back() -> None:
    with watched() as before:
        time.sleep(0.1)
    with watched() as usage:
        block = np.ones(200_000_000, np.uint8)
        time.sleep(0.2)
        del block
    assert 150 < usage.peak_memory_mb - before.peak_memory_mb < 300
    assert usage.seconds > 0.2
    assert usage.gpus == () or usage.gpus[0].name


def test_cpu_time_is_counted_from_the_first_frame_to_the_last() -> None:
    arrivals, tally = Arrivals(), Tally("clip.mp4")
    assert (arrivals.cpu_ms, arrivals.cores) == (0, 0)
    for _ in range(4):
        tally.frames += 1
        arrivals(tally)
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    assert arrivals.cpu_ms == pytest.approx(100, abs=30)
    assert arrivals.cores > 0


def test_steady_frames_a_second_leave_out_start_and_end() -> None:
    at_s = [float(t) for t in range(10)]  # the first came late, the last after a long wait
    marks = [-5.0, *(10 + t / 20 for t in at_s[:8]), 99.0]
    arrivals = Arrivals(marks, [0.0] * 10, list(range(1, 11)))
    assert arrivals.steady_fps == pytest.approx(20)
    assert len(arrivals.intervals_s) == 9
    assert (Arrivals().steady_fps, Arrivals().intervals_s) == (0, [])


def test_frames_that_are_told_of_together_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = iter([0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    cpu_s = iter([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    now = SimpleNamespace(perf_counter=lambda: next(clock_s), process_time=lambda: next(cpu_s))
    monkeypatch.setattr("posert.bench.usage.time", now)
    arrivals, tallies = Arrivals(), [Tally("a.mp4"), Tally("b.mp4")]
    for _ in range(4):  # some ten times a second, of each source
        for tally in tallies:
            tally.frames += 50
            arrivals(tally)
    assert arrivals.steady_fps == pytest.approx(100, rel=0.25)
    assert arrivals.cpu_ms == pytest.approx(1e3 * 0.3 / 350)
    assert arrivals.intervals_s == []


def test_the_memory_of_child_processes_counts() -> None:
    code = "block = bytes([1]) * 200_000_000; print(); input()"
    before = memory_mb()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        during = memory_mb()
        child.stdin.close()
    assert 180 < during - before < 300


class Driver:
    """NVIDIA's library as it answers on a machine of one GPU; without a decoder."""

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, device: Any) -> int:  # noqa: N802
        device._obj.value = 1
        return 0

    def nvmlDeviceGetName(self, device: Any, name: Any, length: int) -> int:  # noqa: N802
        name.value = b"NVIDIA H200"
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.used = 3_000_000_000
        return 0

    def nvmlDeviceGetUtilizationRates(self, device: Any, rates: Any) -> int:  # noqa: N802
        rates._obj.gpu = 87
        return 0

    def nvmlDeviceGetDecoderUtilization(self, device: Any, share: Any, us: Any) -> int:  # noqa: N802
        return 3  # not supported


def test_a_gpu_is_told_as_its_driver_tells_it() -> None:
    (sample,) = Nvml(Driver()).samples()
    assert sample.name == "NVIDIA H200"
    assert (sample.memory_mb, sample.busy, sample.decoder_busy) == (3000, 0.87, 0)


def test_without_a_driver_there_are_no_gpus() -> None:
    with Nvml.opened("libno-such-thing.so") as nvml:
        assert nvml.samples() == []


def test_a_cpu_without_a_name_is_told_by_its_kind(tmp_path: Path) -> None:
    arm, x86 = tmp_path / "arm", tmp_path / "x86"
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    x86.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9B14\n")
    assert _cpu(x86) == "AMD EPYC 9B14"
    assert _cpu(arm) == _cpu(tmp_path / "none") != ""


def test_the_environment_tells_versions() -> None:
    found = environment()
    assert {"av", "numpy", "onnxruntime"} <= set(found.libraries)
    assert found.memory_gb >= 1
    assert found.python.startswith("3.")
