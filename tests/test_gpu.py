"""What is asked of libcuda and of the CPU; the library is played by a table of answers."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posert import doctor, gpu
from posert.gpu import Device, cpu, first_gpu, gpus, why_no_gpu


class Libcuda:
    """Two GPUs, as libcuda tells of them; ``fails`` names the call that fails and its status."""

    names = (b"NVIDIA H200", b"NVIDIA L4")
    capabilities = ((9, 0), (8, 9))

    def __init__(self, count: int = 2, fails: tuple[str, int] = ("", 0)) -> None:
        self._count = count
        name, status = fails
        if name:
            setattr(self, name, lambda *_: status)

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._count
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13010
        return 0

    def cuDeviceGet(self, handle: Any, number: int) -> int:  # noqa: N802
        handle._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, size: int, handle: Any) -> int:  # noqa: N802
        name.value = self.names[handle.value]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, handle: Any) -> int:  # noqa: N802
        value._obj.value = self.capabilities[handle.value][attribute - 75]
        return 0

    def cuGetErrorString(self, status: int, text: Any) -> int:  # noqa: N802
        if status != 803:
            return 1
        text._obj.value = b"system has unsupported display driver / cuda driver combination"
        return 0


@pytest.fixture
def libcuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts libraries, or their absence, in the place of libcuda and NVML."""

    def place(library: Libcuda | OSError, nvml: Any = None) -> None:
        def load(name: str) -> Any:
            if name == "libnvidia-ml.so.1":
                if nvml is None:
                    raise OSError(name)
                return nvml
            assert name == "libcuda.so.1"
            if isinstance(library, OSError):
                raise library
            return library

        monkeypatch.setattr(ctypes, "CDLL", load)

    gpu._ask.cache_clear()
    yield place
    gpu._ask.cache_clear()


def test_every_gpu_is_told_with_its_capability_and_driver(libcuda: Any) -> None:
    libcuda(Libcuda())
    assert gpus() == (Device("NVIDIA H200", "9.0", 13), Device("NVIDIA L4", "8.9", 13))
    assert first_gpu() == gpus()[0]
    assert why_no_gpu() is None


class Nvml:
    """NVML, as far as it tells of the driver."""

    def __init__(self, version: bytes, status: int = 0, start: int = 0) -> None:
        self._version, self._status, self._start = version, status, start

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._start

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, size: int) -> int:  # noqa: N802
        assert len(self._version) < size
        text.value = self._version
        return self._status


@pytest.mark.parametrize(
    ("nvml", "major", "words"),
    [
        (Nvml(b"570.86.10"), 570, "driver 570"),
        (Nvml(b"535.183.01"), 535, "driver 535"),
        (Nvml(b"570.86.10", start=9), 13, "CUDA 13 driver"),
        (Nvml(b"570.86.10", status=3), 13, "CUDA 13 driver"),
        (Nvml(b""), 13, "CUDA 13 driver"),
        (object(), 13, "CUDA 13 driver"),
    ],
    ids=["570", "535", "does not start", "fails", "says nothing", "lacks the call"],
)
def test_two_drivers_of_one_cuda_are_told_apart(
    libcuda: Any, nvml: Any, major: int, words: str
) -> None:
    libcuda(Libcuda(), nvml)
    first = first_gpu()
    assert first is not None
    assert (first.driver_major, first.driver) == (major, words)


@pytest.mark.parametrize(
    ("library", "why"),
    [
        (OSError("libcuda.so.1: cannot open shared object file"), "no driver"),
        (Libcuda(count=0), "driver, but no GPU"),
        (Libcuda(fails=("cuInit", 100)), "driver, but no GPU"),
        (Libcuda(fails=("cuInit", 803)), "the driver answers system has unsupported display"),
        (Libcuda(fails=("cuInit", 999)), "the driver answers error 999"),
        (Libcuda(fails=("cuDeviceGetName", 999)), "the driver answers error 999"),
        (Libcuda(fails=("cuDriverGetVersion", 999)), "the driver answers error 999"),
    ],
)
def test_where_there_is_none_it_is_told_why(libcuda: Any, library: Any, why: str) -> None:
    libcuda(library)
    assert gpus() == ()
    assert first_gpu() is None
    assert (why_no_gpu() or "").startswith(why)


@pytest.mark.parametrize(
    ("library", "state", "found"),
    [
        (Libcuda(), "ok", "2 x NVIDIA H200, compute capability 9.0, CUDA 13 driver"),
        (
            Libcuda(fails=("cuInit", 999)),
            "missing",
            "the driver answers error 999; the CPU is used",
        ),
        (OSError("no such file"), "missing", "no driver; the CPU is used"),
    ],
    ids=["here", "broken driver", "no driver"],
)
def test_the_doctor_tells_what_was_found(
    libcuda: Any, library: Any, state: str, found: str
) -> None:
    libcuda(library)
    check = doctor._gpu()
    assert (check.state, check.found) == (state, found)


@pytest.mark.parametrize(
    ("text", "instructions"),
    [
        ("model name\t: x\nflags\t\t: fpu avx2 avx512bw avx512_vnni\n", "avx512_vnni"),
        ("flags : fpu avx2\n\nflags : fpu avx2 avx_vnni\n", "avx2"),
        ("Features\t: fp asimd asimddp\n", "asimddp"),
        ("flags : fpu sse2\n", ""),
        ("", ""),
    ],
)
def test_a_cpu_is_known_by_what_int8_runs_on(tmp_path: Path, text: str, instructions: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu(tmp_path / "cpuinfo") == Device(platform.machine(), instructions, 0)


def test_a_cpu_that_tells_nothing_is_still_a_device(tmp_path: Path) -> None:
    assert cpu(tmp_path / "absent") == Device(platform.machine(), "", 0)


@pytest.mark.gpu
def test_the_gpu_of_this_machine() -> None:
    found = first_gpu()
    if found is None and os.environ.get("POSERT_REQUIRE_GPU") != "1":
        pytest.skip(f"{why_no_gpu()}")
    assert found is not None, why_no_gpu()
    assert found.name
    assert float(found.compute_capability) >= 5
    assert found.driver_major >= 11
