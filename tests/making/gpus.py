"""A GPU made of host memory, behind the parts of pycuda and libcuda that ``posert`` uses.

What is queued on a stream runs when the stream is waited for, so that a copy whose source changes
too early, or a result read too early, shows. What CUDA refuses is refused: calls without a current
context, memory that is freed, waiting for the device inside a capture.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from making.nv12 import resized, to_bgr
from posert.runtime.cuda import Gpu
from posert.runtime.device.colours import Factors

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
        self._next = iter(range(1 << 28, 1 << 48, 1 << 28))
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

        self.Device, self.Stream, self.Event = Device, Stream, FakeEvent

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

    def memcpy_dtod_async(self, target: int, source: int, nbytes: int, stream: FakeStream) -> None:
        self.check_current()
        stream.queue(lambda: self.write(target, self.read(source, (nbytes,), np.uint8)))

    def module_from_buffer(self, ptx: bytes) -> FakeModule:
        self.check_current()
        assert ptx.endswith(b"\0")
        return FakeModule(self)

    def read(self, address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._from(address)[:nbytes].view(dtype).reshape(shape)

    def write(self, address: int, values: npt.NDArray[Any]) -> None:
        self._from(address)[: values.nbytes] = np.ascontiguousarray(values).view(np.uint8).ravel()

    def _from(self, address: int) -> npt.NDArray[np.uint8]:
        """The bytes from ``address`` to the end of its allocation."""
        if address in self.memory:
            return self.memory[address]
        start = max(at for at in self.memory if at < address)
        assert address - start < self.memory[start].nbytes
        return self.memory[start][address - start :]


class FakeContext:
    handle = 1

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

    def wait_for_event(self, event: FakeEvent) -> None:
        self.queue(event.reach)


class FakeEvent:
    """Reached when what its stream had queued before it is done."""

    def __init__(self, flags: int) -> None:
        self._stream: FakeStream | None = None
        self._reached = True

    def record(self, stream: FakeStream) -> None:
        self._stream, self._reached = stream, False
        stream.queue(self._set)

    def reach(self) -> None:
        while not self._reached:
            assert self._stream is not None
            self._stream.waiting.pop(0)()

    def _set(self) -> None:
        self._reached = True


class FakeModule:
    """The kernel ``resize_nv12``, as NumPy does it."""

    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver

    def get_function(self, name: str) -> FakeModule:
        assert name == "resize_nv12"
        return self

    def prepare(self, arguments: str) -> None:
        assert struct.calcsize(arguments) == 2048 + 8 + 12

    def prepared_async_call(
        self, grid: Any, block: Any, stream: FakeStream, batch: bytes, target: int, *input: int
    ) -> None:
        self._driver.check_current()
        width, height, fill = input
        assert grid[0] * block[0] >= width
        assert grid[1] * block[1] >= height
        pictures = list(struct.iter_unpack("2Q12i", batch))
        assert len(pictures) == grid[2]

        def work() -> None:
            full = [self._resized(picture, height, width, fill) for picture in pictures]
            self._driver.write(target, np.stack(full))

        stream.queue(work)

    def _resized(
        self, picture: tuple[int, ...], height: int, width: int, fill: int
    ) -> npt.NDArray[np.uint8]:
        luma, chroma, pitch, w, h, inner_width, inner_height, averaged, *factors = picture
        assert pitch == w
        assert averaged == (inner_width <= w and inner_height <= h)
        planes = (
            self._driver.read(luma, (h, w), np.uint8),
            self._driver.read(chroma, (h // 2, w // 2, 2), np.uint8),
        )
        full = np.full((height, width, 3), fill, np.uint8)
        bgr = to_bgr(*planes, Factors(*factors))
        full[:inner_height, :inner_width] = resized(bgr, inner_height, inner_width)
        return full


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
