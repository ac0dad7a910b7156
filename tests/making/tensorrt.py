"""TensorRT as far as the runtime uses it, on the made-up GPU of ``making.gpus``.

Its engine takes frames uint8 (N, H, W, 3) and finds one peak of each of 2 types, whose score is
the picture's mean, in the compact form with M = 4 and one link. As TensorRT does, it returns None
or False where it fails, and says why only to the logger.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from making.gpus import CudaError, FakeDriver, Work

Shape = tuple[int, ...]
OUTPUTS: dict[str, tuple[Shape, str]] = {
    "peaks": ((2, 4, 3), "FLOAT"), "counts": ((2,), "INT32"), "link_scores": ((1, 4, 4), "FLOAT"),
}  # fmt: skip
NUMPY = {"FLOAT": np.float32, "INT32": np.int32, "UINT8": np.uint8}


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class FakeTensorRT:
    """The module ``tensorrt``; ``profile`` is least, best and most of the input's shape.

    There is memory for ``contexts`` at once, and ``sharing`` of them may have the profile.
    """

    __version__ = "10.3.0"
    DataType = Enum("DataType", ["FLOAT", "INT32", "UINT8", "BF16"])
    TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])

    class ILogger:
        Severity = Severity

        def log(self, severity: Any, message: str) -> None:
            raise NotImplementedError

    def __init__(
        self,
        driver: FakeDriver,
        profile: Sequence[Shape] = ((1, 8, 8, 3), (4, 8, 8, 3), (4, 16, 8, 3)),
        contexts: int = 64,
        sharing: int = 64,
        names: tuple[str, ...] = ("frames", *OUTPUTS),
    ) -> None:
        self.driver = driver
        self.profile = profile
        self.contexts = contexts
        self.sharing = sharing
        self.alive: weakref.WeakSet[FakeExecution] = weakref.WeakSet()
        self.names = names
        self.input_type = "UINT8"
        self.failing = ""  # what execute_async_v3 fails with
        self.batches: list[Shape] = []  # of each time that an engine was enqueued

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802
        return FakeRuntime(self, logger)


class FakeRuntime:
    def __init__(self, library: FakeTensorRT, logger: Any) -> None:
        self._library, self._logger = library, logger

    def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
        self._logger.log(Severity.INFO, "Loaded engine size: 0 MiB")
        if data != b"engine":
            self._logger.log(Severity.ERROR, "Serialization assertion\n stdVersionRead failed.")
            return None
        return FakeEngine(self._library, self._logger)


class FakeEngine:
    def __init__(self, library: FakeTensorRT, logger: Any) -> None:
        self._library, self._logger = library, logger
        self.num_io_tensors = len(library.names)

    def get_tensor_name(self, index: int) -> str:
        return self._library.names[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._library.TensorIOMode
        return modes["OUTPUT"] if name in OUTPUTS else modes["INPUT"]

    def get_tensor_dtype(self, name: str) -> Any:
        written = OUTPUTS[name][1] if name in OUTPUTS else self._library.input_type
        return self._library.DataType[written]

    def get_tensor_shape(self, name: str) -> Shape:
        least, _, most = self._library.profile
        return tuple(a if a == b else -1 for a, b in zip(least, most, strict=True))

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[Shape]:
        return list(self._library.profile)

    def create_execution_context(self) -> FakeExecution | None:
        if len(self._library.alive) >= self._library.contexts:
            self._logger.log(Severity.ERROR, "Requested amount of GPU memory could not be had.")
            return None
        context = FakeExecution(self._library, self._logger)
        self._library.alive.add(context)
        return context


class FakeExecution:
    """An execution context. A graph that was captured from it needs it as it was."""

    def __init__(self, library: FakeTensorRT, logger: Any) -> None:
        self._library, self._logger = library, logger
        self._shape: Shape | None = None
        self._addresses: dict[str, int] = {}
        self._prepared = False  # the first run of a shape prepares it, and cannot be captured
        self._captured: list[Work] | None = None

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        free = len(self._library.alive) <= self._library.sharing
        return free or self._fails(f"Profile {profile} has been chosen by another context")

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        least, _, most = self._library.profile
        self._check_free()
        self._prepared = False
        if not all(a <= n <= b for a, n, b in zip(least, shape, most, strict=True)):
            return self._fails(f"Static dimension mismatch while setting {name}: {shape}")
        self._shape = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, name: str) -> Shape:
        assert self._shape is not None
        return (self._shape[0], *OUTPUTS[name][0])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._check_free()
        self._addresses[name] = address
        return True

    def _check_free(self) -> None:
        graphs = self._library.driver.graphs.values()
        assert not any(graph is self._captured for graph in graphs), "a graph still needs it as is"

    def execute_async_v3(self, handle: int) -> bool:
        library, driver, shape = self._library, self._library.driver, self._shape
        if library.failing:
            return self._fails(library.failing)
        if shape is None or set(self._addresses) != set(library.names):
            return self._fails("Neither address or allocator is set for a tensor")
        stream = driver.streams[handle]
        if stream.capturing is not None and not self._prepared:
            return self._fails("operation would make the legacy stream depend on a capturing one")
        self._prepared = True
        library.batches.append(shape)
        self._captured = stream.capturing
        at, context = dict(self._addresses), weakref.ref(self)

        def work() -> None:
            if context() is None:
                raise CudaError("an illegal memory access was encountered")
            means = driver.read(at["frames"], shape, np.uint8).reshape(shape[0], -1).mean(1)
            for name, (inner, written) in OUTPUTS.items():
                tensor = np.zeros((shape[0], *inner), NUMPY[written])
                if name == "peaks":
                    tensor[:, :, 0, 2] = means[:, None]
                if name == "counts":
                    tensor[:] = 1
                driver.write(at[name], tensor)

        stream.queue(work)
        return True

    def _fails(self, why: str) -> bool:
        self._logger.log(Severity.ERROR, why)
        return False
