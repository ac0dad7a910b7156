"""A GPU made of host memory, behind the parts of pycuda and libcuda that ``posert`` uses.

What is queued on a stream runs when the stream is waited for, so that a copy whose source changes
too early, or a result read too early, shows. What CUDA refuses is refused: calls without a current
context, memory that is freed, waiting for the device inside a capture.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from posert.runtime.cuda import Gpu

Work = Callable[[], None]
INVALID, UNSUPPORTED = 1, 900  # CUDA_ERROR_INVALID_VALUE, ..._STREAM_CAPTURE_UNSUPPORTED


class CudaError(Exception):
    """``pycuda.driver.Error``."""


class FakeDriver:
    """The module ``pycuda.driver``, for one device of ``total`` bytes."""

    Error = CudaError

    def __init__(self, total: int = 1 << 30, devices: int = 1) -> None:
        self.total = total
        self.memory: dict[int, npt.NDArray[np.uint8]] = {}  # by address
        self.pinned: set[int] = set()
        self.streams: dict[int, FakeStream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.launches = 0
        self._local = threading.local()
        self._next = iter(range(0x1000, 1 << 40, 0x1000))
        driver = self

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            @staticmethod
            def count() -> int:
                return devices

            def name(self) -> str:
                return "Fake GPU"

            def retain_primary_context(self) -> FakeContext:
                return FakeContext(driver)

        class Stream(FakeStream):
            def __init__(self, flags: int) -> None:
                super().__init__(driver, flags)

        self.Device, self.Stream = Device, Stream

    def init(self) -> None: ...

    @property
    def depth(self) -> int:
        """How many contexts the calling thread has entered."""
        return getattr(self._local, "depth", 0)

    @depth.setter
    def depth(self, depth: int) -> None:
        self._local.depth = depth

    def check_current(self) -> None:
        if not self.depth:
            raise CudaError("invalid device context")

    def number(self) -> int:
        return next(self._next)

    def mem_get_info(self) -> tuple[int, int]:
        self.check_current()
        return self.total - sum(m.nbytes for m in self.memory.values()), self.total

    def mem_alloc(self, nbytes: int) -> FakeAllocation:
        if nbytes > self.mem_get_info()[0]:
            raise CudaError("cuMemAlloc failed: out of memory")
        address = self.number()
        self.memory[address] = np.full(nbytes, 0xAB, np.uint8)
        return FakeAllocation(self, address)

    def pagelocked_empty(self, nbytes: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        self.check_current()
        assert np.dtype(dtype) == np.uint8
        return np.asarray(FakePinned(self, nbytes))

    def memcpy_htod_async(self, target: int, source: npt.NDArray[Any], stream: FakeStream) -> None:
        self.check_current()
        stream.queue(lambda: self.write(target, source))

    def memcpy_dtoh_async(self, target: npt.NDArray[Any], source: int, stream: FakeStream) -> None:
        self.check_current()
        stream.queue(lambda: np.copyto(target, self.read(source, target.shape, target.dtype)))

    def read(self, address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.memory[address][:nbytes].view(dtype).reshape(shape)

    def write(self, address: int, values: npt.NDArray[Any]) -> None:
        self.memory[address][: values.nbytes] = np.ascontiguousarray(values).view(np.uint8).ravel()


class FakeContext:
    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver

    def push(self) -> None:
        self._driver.depth += 1

    def pop(self) -> None:
        self._driver.depth -= 1

    def synchronize(self) -> None:
        for stream in list(self._driver.streams.values()):
            stream.synchronize()


class FakeAllocation:
    def __init__(self, driver: FakeDriver, address: int) -> None:
        self._driver, self._address = driver, address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._driver.check_current()
        del self._driver.memory[self._address]


class FakePinned:
    """Owner of page-locked memory, ``base`` of its arrays."""

    def __init__(self, driver: FakeDriver, nbytes: int) -> None:
        self._driver = driver
        self._array = np.full(nbytes, 0xCD, np.uint8)
        self.__array_interface__ = self._array.__array_interface__
        driver.pinned.add(id(self))

    def free(self) -> None:
        self._driver.check_current()
        self._driver.pinned.remove(id(self))


@dataclass
class FakeStream:
    driver: FakeDriver
    flags: int
    waiting: list[Work] = field(default_factory=list)
    capturing: list[Work] | None = None

    def __post_init__(self) -> None:
        self.driver.check_current()
        self.handle = self.driver.number()
        self.driver.streams[self.handle] = self

    def queue(self, work: Work) -> None:
        (self.waiting if self.capturing is None else self.capturing).append(work)

    def synchronize(self) -> None:
        self.driver.check_current()
        if self.capturing is not None:
            raise CudaError("operation not permitted when stream is capturing")
        while self.waiting:
            self.waiting.pop(0)()


class FakeLibcuda:
    """The functions of ``libcuda.so.1`` that pycuda has not."""

    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver
        self._captured: dict[int, list[Work]] = {}

    def cuStreamBeginCapture_v2(self, stream: Any, mode: int) -> int:  # noqa: N802
        self._stream(stream).capturing = []
        return 0

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:  # noqa: N802
        captured, self._stream(stream).capturing = self._stream(stream).capturing, None
        if captured is None:
            return INVALID
        graph._obj.value = self._driver.number()
        self._captured[graph._obj.value] = captured
        return 0

    def cuGraphInstantiateWithFlags(self, launchable: Any, graph: Any, flags: Any) -> int:  # noqa: N802
        launchable._obj.value = self._driver.number()
        self._driver.graphs[launchable._obj.value] = self._captured[graph.value]
        return 0

    def cuGraphLaunch(self, graph: Any, stream: Any) -> int:  # noqa: N802
        self._driver.launches += 1
        for work in self._driver.graphs[graph.value]:
            self._stream(stream).queue(work)
        return 0

    def cuGraphDestroy(self, graph: Any) -> int:  # noqa: N802
        return 0 if self._captured.pop(graph.value, None) is not None else INVALID

    def cuGraphExecDestroy(self, graph: Any) -> int:  # noqa: N802
        return 0 if self._driver.graphs.pop(graph.value, None) is not None else INVALID

    def cuGetErrorString(self, status: int, text: Any) -> int:  # noqa: N802
        text._obj.value = {INVALID: b"invalid argument"}.get(status, b"other")
        return 0

    def _stream(self, handle: Any) -> FakeStream:
        assert isinstance(handle, ctypes.c_void_p)
        return self._driver.streams[handle.value or 0]


def fake_gpu(total: int = 1 << 30) -> tuple[Gpu, FakeDriver]:
    """A GPU with ``total`` bytes, and what lies behind it."""
    driver = FakeDriver(total)
    return Gpu(driver, FakeLibcuda(driver)), driver
