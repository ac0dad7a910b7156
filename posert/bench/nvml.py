"""How busy GPUs are, asked of NVIDIA's management library where it is here."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

_NVML: Final = "libnvidia-ml.so.1"
_OK: Final = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One GPU at a moment."""

    name: str
    memory_mb: float  # in use
    busy: float  # share of the driver's last interval, up to a second, in which a kernel ran
    decoder_busy: float


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong),
                ("used", ctypes.c_ulonglong))  # fmt: skip


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Nvml:
    """The library, open; without it there are no samples."""

    def __init__(self, library: Any) -> None:
        """``library`` is None where there is none."""
        self._library = library
        self._devices = [] if library is None else self._found()

    @classmethod
    @contextmanager
    def opened(cls, name: str = _NVML) -> Iterator[Nvml]:
        """Open for the block."""
        library: Any = None
        with suppress(OSError, AttributeError):  # there is none, or one without these calls
            found = ctypes.CDLL(name)
            library = found if found.nvmlInit_v2() == _OK else None
        try:
            yield cls(library)
        finally:
            if library is not None:
                library.nvmlShutdown()

    def samples(self) -> list[Sample]:
        """Of each GPU of the machine, in the driver's order; what it cannot tell is 0."""
        return [self._sample(name, device) for name, device in self._devices]

    def _found(self) -> list[tuple[str, ctypes.c_void_p]]:
        count = ctypes.c_uint()
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
            return []
        found = []
        for number in range(count.value):
            device, name = ctypes.c_void_p(), ctypes.create_string_buffer(96)
            if self._library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) == _OK:
                self._library.nvmlDeviceGetName(device, name, len(name))
                found.append((name.value.decode(errors="replace"), device))
        return found

    def _sample(self, name: str, device: ctypes.c_void_p) -> Sample:
        memory, rates = _Memory(), _Rates()
        decoder, period_us = ctypes.c_uint(), ctypes.c_uint()
        ask = self._library  # what a device does not support leaves zeros
        ask.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
        ask.nvmlDeviceGetUtilizationRates(device, ctypes.byref(rates))
        ask.nvmlDeviceGetDecoderUtilization(device, ctypes.byref(decoder), ctypes.byref(period_us))
        return Sample(name, memory.used / 1e6, rates.gpu / 100, decoder.value / 100)
