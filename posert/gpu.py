"""Which GPU and driver are here, asked of the driver's libraries; which CPU, for its engines."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_CUDA = "libcuda.so.1"
_NVML = "libnvidia-ml.so.1"
_OLDEST_DRIVER = 100  # lower numbers are of CUDA
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_CPUINFO = Path("/proc/cpuinfo")
# best first: what int8 runs on decides its speed, and without VNNI sums may saturate
_INT8 = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "i8mm", "asimddp", "asimd")


@dataclass(frozen=True, slots=True)
class Device:
    """What an engine was built on, as far as the engine depends on it."""

    name: str  # "NVIDIA L4"; of a CPU its architecture, "x86_64"
    compute_capability: str  # "8.9"; of a CPU the instructions int8 runs on, "avx512_vnni"
    driver_major: int  # 570; where only libcuda answers, of the CUDA it speaks: 13; 0 on a CPU

    @property
    def driver(self) -> str:
        """The driver in words, ``driver 570`` or ``CUDA 13 driver``."""
        if self.driver_major < _OLDEST_DRIVER:
            return f"CUDA {self.driver_major} driver"
        return f"driver {self.driver_major}"


def gpus() -> tuple[Device, ...]:
    """The NVIDIA GPUs this process may use, in CUDA's order; none where CUDA does not start."""
    found = _ask()
    return () if isinstance(found, str) else found


def first_gpu() -> Device | None:
    """The GPU that is used where nothing else is said."""
    return next(iter(gpus()), None)


def only(number: int) -> dict[str, str]:
    """The environment of a new process that is to see this one of ``gpus()`` and no other."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return {"CUDA_VISIBLE_DEVICES": names[number] if number < len(names) else str(number)}


def why_no_gpu() -> str | None:
    """Why ``gpus`` finds none, or None where it finds one."""
    found = _ask()
    return found if isinstance(found, str) else None


def cpu(cpuinfo: Path = _CPUINFO) -> Device:
    """This CPU, as far as an int8 network depends on it."""
    return Device(platform.machine(), _int8_instructions(cpuinfo), 0)


def _int8_instructions(cpuinfo: Path) -> str:
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            known = next(_flags(lines), frozenset())
    except OSError:
        known = frozenset()
    return next((name for name in _INT8 if name in known), "")


def _flags(lines: Iterator[str]) -> Iterator[frozenset[str]]:
    """The instruction sets of each core; x86 says ``flags``, ARM ``Features``."""
    for line in lines:
        title, _, words = line.partition(":")
        if title.strip() in ("flags", "Features"):
            yield frozenset(words.split())


@lru_cache(maxsize=1)
def _ask() -> tuple[Device, ...] | str:
    """The GPUs, or why there is none."""
    try:
        cuda = ctypes.CDLL(_CUDA)
    except OSError:
        return "no driver"
    try:
        _check(cuda, cuda.cuInit(0))
        count, version = ctypes.c_int(), ctypes.c_int()
        _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)))
        _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)))
        driver = _driver_major() or version.value // 1000
        devices = tuple(_device(cuda, n, driver) for n in range(count.value))
        return devices or "driver, but no GPU"
    except _CudaError as e:
        return str(e)


def _driver_major() -> int | None:
    """Of the driver's own version, which NVML tells; one CUDA version is many drivers'."""
    text = ctypes.create_string_buffer(96)
    try:
        nvml = ctypes.CDLL(_NVML)
        if nvml.nvmlInit_v2() != 0:
            return None
        failed = nvml.nvmlSystemGetDriverVersion(text, len(text))
        nvml.nvmlShutdown()
    except (OSError, AttributeError):  # none, or one without these
        return None
    major = text.value.partition(b".")[0]
    return int(major) if not failed and major.isdigit() else None


def _device(cuda: Any, number: int, driver_major: int) -> Device:
    handle, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(handle), number))
    _check(cuda, cuda.cuDeviceGetName(name, len(name), handle))
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle))
        capability.append(str(value.value))
    return Device(name.value.decode(errors="replace"), ".".join(capability), driver_major)


class _CudaError(Exception):
    """A call of libcuda that did not return 0."""


def _check(cuda: Any, status: int) -> None:
    if status == 0:
        return
    if status == _NO_DEVICE:
        raise _CudaError("driver, but no GPU")
    text = ctypes.c_char_p()
    known = cuda.cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value
    raise _CudaError(f"the driver answers {known.decode() if known else f'error {status}'}")
