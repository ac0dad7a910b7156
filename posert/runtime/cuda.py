"""CUDA through pycuda: one device's context, memory, streams and graphs, and nothing else of it.

The context is the device's primary one, which TensorRT, onnxruntime and PyTorch use too. A
thread enters it with ``with gpu.current():``; everything here is called inside such a block.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from posert.errors import EngineError, first_line

INSTALL_PYCUDA: Final = "pip install pycuda (it is compiled: nvcc must be in PATH)"
_NON_BLOCKING: Final = 1  # CU_STREAM_NON_BLOCKING: does not wait for the legacy default stream
_DISABLE_TIMING: Final = 2  # CU_EVENT_DISABLE_TIMING
_THREAD_LOCAL: Final = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads work on meanwhile

Grid = tuple[int, int, int]


class Gpu:
    """A device and its primary context, which any number of threads may enter."""

    def __init__(self, driver: Any, libcuda: Any, index: int = 0) -> None:
        """``driver`` is the module ``pycuda.driver``, ``libcuda`` the driver library itself."""
        self._driver = driver
        self._libcuda = libcuda
        device = driver.Device(index)
        self.index = index
        self.name: str = device.name()
        self._context = device.retain_primary_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context the calling thread's own for the length of the block.

        Raises:
            EngineError: CUDA failed inside the block; its own words are in the message.
        """
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self._driver.Error as e:
            raise EngineError(f"CUDA on {self.name}: {first_line(e)}") from e

    @property
    def handle(self) -> int:
        """The context, as other libraries take it."""
        return int(self._context.handle)

    def synchronize(self) -> None:
        """Waits for all work in the context, that of other libraries too."""
        self._context.synchronize()

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the device's memory."""
        free, total = self._driver.mem_get_info()
        return int(free), int(total)

    def device_buffer(self, nbytes: int) -> DeviceBuffer:
        """``nbytes`` of the device's memory.

        Raises:
            EngineError: there is not so much.
        """
        try:
            return DeviceBuffer(self._driver.mem_alloc(nbytes), nbytes)
        except self._driver.Error as e:
            free, total = self.memory()
            raise EngineError(
                f"{self.name} has no {_mib(nbytes)} of memory left ({first_line(e)})",
                got=f"{_mib(free)} free of {_mib(total)}",
                fix="use a smaller batch or size, fewer workers, or end other programs on the GPU",
            ) from e

    def pinned_buffer(self, nbytes: int) -> PinnedBuffer:
        """``nbytes`` of page-locked host memory, which copies to and from at full speed.

        Raises:
            EngineError: the system does not give so much.
        """
        try:
            return PinnedBuffer(self._driver.pagelocked_empty(nbytes, np.uint8))
        except self._driver.Error as e:
            raise EngineError(
                f"no {_mib(nbytes)} of page-locked memory left ({first_line(e)})",
                fix="use a smaller batch or size, or fewer workers",
            ) from e

    def stream(self) -> Stream:
        """A new queue of work."""
        return Stream(self._driver, self._libcuda)

    def event(self) -> Event:
        """A new mark to be set in a stream."""
        return Event(self._driver.Event(_DISABLE_TIMING))

    def kernel(self, ptx: bytes, name: str, arguments: str) -> Kernel:
        """The function ``name`` of ``ptx``; ``arguments`` as the module ``struct`` writes them.

        Raises:
            EngineError: the driver does not take it.
        """
        try:
            module = self._driver.module_from_buffer(ptx)
            function = module.get_function(name)
        except self._driver.Error as e:
            raise EngineError(
                f"the driver of {self.name} does not compile {name} ({first_line(e)})",
                fix="install a driver for CUDA 11 or later",
            ) from e
        function.prepare(arguments)
        return Kernel(function, module)


class DeviceBuffer:
    """Memory of the device."""

    def __init__(self, allocation: Any, nbytes: int) -> None:
        self._allocation = allocation
        self.address = int(allocation)
        self.nbytes = nbytes

    def close(self) -> None:
        self._allocation.free()


class PinnedBuffer:
    """Page-locked memory of the host."""

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        self._array = array
        self.nbytes = array.nbytes

    def view(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Its first bytes as an array; not to be used after ``close``."""
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._array[:count].view(dtype).reshape(shape)

    def close(self) -> None:
        allocation: Any = self._array.base
        self._array = np.empty(0, np.uint8)
        allocation.free()


class Event:
    """A mark in a stream: what is before it is done once it is reached."""

    def __init__(self, event: Any) -> None:
        self.handle = event  # pycuda's

    def close(self) -> None:
        self.handle = None  # pycuda's events end with their last reference


class Kernel:
    """A function that runs on the device; any thread may launch it."""

    def __init__(self, function: Any, module: Any) -> None:
        self._function = function
        self._module = module  # must live as long

    def launch(self, stream: Stream, grid: Grid, block: Grid, *arguments: object) -> None:
        """Queues ``grid`` blocks of ``block`` threads on ``stream``."""
        self._function.prepared_async_call(grid, block, stream.queue, *arguments)


class Stream:
    """A queue of copies and kernels that run in order, beside those of other streams."""

    def __init__(self, driver: Any, libcuda: Any) -> None:
        self._driver = driver
        self._libcuda = libcuda
        self._stream = driver.Stream(_NON_BLOCKING)
        self.handle = int(self._stream.handle)

    @property
    def queue(self) -> Any:
        """The same as pycuda has it."""
        return self._stream

    def copy(self, target: DeviceBuffer, source: int, nbytes: int) -> None:
        """Queues a copy within the device, from the address ``source``."""
        self._driver.memcpy_dtod_async(target.address, source, nbytes, self._stream)

    def mark(self, event: Event) -> None:
        """Sets ``event`` behind all that was queued."""
        event.handle.record(self._stream)

    def wait(self, event: Event) -> None:
        """Lets what is queued from now on wait for ``event``; the caller does not wait."""
        self._stream.wait_for_event(event.handle)

    def upload(self, target: DeviceBuffer, source: npt.NDArray[Any]) -> None:
        """Queues a copy of ``source``, pinned memory, to the device."""
        self._driver.memcpy_htod_async(target.address, source, self._stream)

    def download(self, target: npt.NDArray[Any], source: DeviceBuffer) -> None:
        """Queues a copy from the device to ``target``, pinned memory."""
        self._driver.memcpy_dtoh_async(target, source.address, self._stream)

    def synchronize(self) -> None:
        """Waits, without Python's lock, until all that was queued is done."""
        self._stream.synchronize()

    def capture(self, work: Callable[[], None]) -> Graph:
        """What ``work`` queues on this stream, as a graph; nothing of it is run.

        Raises:
            EngineError: ``work`` does what a graph cannot hold, such as waiting for the device.
        """
        cuda, stream = self._libcuda, ctypes.c_void_p(self.handle)
        graph, launchable = ctypes.c_void_p(), ctypes.c_void_p()
        _check(cuda, "cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            cuda.cuStreamEndCapture(stream, ctypes.byref(graph))  # or the stream stays unusable
            cuda.cuGraphDestroy(graph)
            raise
        _check(cuda, "cuStreamEndCapture", stream, ctypes.byref(graph))
        try:
            options = ctypes.c_ulonglong(0)
            _check(cuda, "cuGraphInstantiateWithFlags", ctypes.byref(launchable), graph, options)
        finally:
            cuda.cuGraphDestroy(graph)
        return Graph(cuda, launchable, stream)

    def close(self) -> None:
        self._stream = None  # pycuda's streams end with their last reference


class Graph:
    """Captured work: launched as one."""

    def __init__(self, libcuda: Any, graph: ctypes.c_void_p, stream: ctypes.c_void_p) -> None:
        self._libcuda = libcuda
        self._graph = graph
        self._stream = stream

    def launch(self) -> None:
        """Queues it on the stream that it was captured from."""
        _check(self._libcuda, "cuGraphLaunch", self._graph, self._stream)

    def close(self) -> None:
        _check(self._libcuda, "cuGraphExecDestroy", self._graph)


@cache
def open_gpu(index: int = 0) -> Gpu:
    """The GPU with this number, the same object every time.

    Raises:
        EngineError: pycuda is missing or does not work, or there is no such GPU.
    """
    try:
        import pycuda.driver as driver
    except ImportError as e:
        missing = isinstance(e, ModuleNotFoundError)
        what = "pycuda is not installed" if missing else f"pycuda does not load: {first_line(e)}"
        raise EngineError(what, fix=INSTALL_PYCUDA) from e
    try:
        driver.init()
        count = driver.Device.count()
        if not 0 <= index < count:
            raise EngineError("no such NVIDIA GPU", got=index, expected=f"below {count}")
        return Gpu(driver, ctypes.CDLL("libcuda.so.1"), index)
    except (driver.Error, OSError) as e:
        raise EngineError(
            f"no NVIDIA GPU can be used here: {first_line(e)}", fix="see: nvidia-smi"
        ) from e


def _check(libcuda: Any, function: str, *arguments: Any) -> None:
    status = getattr(libcuda, function)(*arguments)
    if status:
        text = ctypes.c_char_p()
        libcuda.cuGetErrorString(status, ctypes.byref(text))
        words = (text.value or b"unknown error").decode()
        raise EngineError(f"CUDA: {function}: {words} ({status})")


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:.1f} MiB"
