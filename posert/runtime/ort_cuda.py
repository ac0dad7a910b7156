"""onnxruntime's CUDA provider, with buffers and copies of our own where pycuda is installed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from posert.errors import EngineError, first_line
from posert.manifest import EngineFile, Form
from posert.model_card import ModelCard
from posert.runtime.cuda import Gpu, Stream, open_gpu
from posert.runtime.device.placing import Placed, filling
from posert.runtime.network_io import NetworkIO
from posert.runtime.ort import onnxruntime, open_session
from posert.runtime.slots import Array, Binding, Filled, Shape, Slots, Spec
from posert.types import Images, PoseOutput

_PROVIDER: Final = "CUDAExecutionProvider"
# Measured on an H200, frames/s with channels last against first: ResNet18 fp16 9,700 to 9,200,
# pose-small fp32 5,100 to 4,800, fp16 6,200 to 6,700. Trying all of cuDNN's algorithms gains
# nothing over its own choice; taking its default one costs all but a twentieth of the speed.
_OPTIONS: Final = {"prefer_nhwc": "1", "cudnn_conv_algo_search": "HEURISTIC"}
_BATCH: Final = 64
_SIZES: Final = (1, 8, 32, _BATCH)  # of batches on the device
_SLOTS: Final = 4  # a run of onnxruntime holds its thread until the device is done
_SESSIONS_KEPT: Final = 8  # of the most recent input shapes
log = logging.getLogger(__name__)


class OrtCudaEngine:
    """A network in onnxruntime on a GPU; thread-safe."""

    def __init__(
        self, io: NetworkIO, run: Callable[[Array], Mapping[str, Array]], name: str, workers: int
    ) -> None:
        """``run`` turns the input tensor into the output tensors."""
        self.name = name
        self.workers = workers
        self.batch = _BATCH
        self._io = io
        self._run = run

    @property
    def form(self) -> Form:
        return self._io.form

    def infer(self, frames: Images) -> list[PoseOutput]:
        """What the network says of each of ``frames``, uint8 (N, H, W, 3) BGR.

        Batches of 1, 2, 4, 8, ... frames are run; others are filled up to the next of these,
        because the first run of each input shape takes up to seconds.

        Raises:
            EngineError: onnxruntime or CUDA failed; its own words are in the message.
        """
        count = len(frames)
        missing = _filled(count) - count
        filled = np.concatenate([frames, *[frames[-1:]] * missing]) if missing else frames
        tensors = self._run(self._io.feed(filled))
        return self._io.pictures({name: t[:count] for name, t in tensors.items()}, frames)


class BoundOrtEngine(OrtCudaEngine):
    """The same with device buffers, page-locked memory and copies of our own."""

    def __init__(self, io: NetworkIO, gpu: Gpu, slots: Slots, name: str) -> None:
        super().__init__(io, slots.run, name, slots.count)
        self._gpu = gpu
        self._slots = slots

    def infer_on_device(self, pictures: Sequence[Placed]) -> list[PoseOutput]:
        """What the network says of each of ``pictures``, all of one input size.

        Only of the compact form. Batches of 1, 8, 32 or 64 are run: of many streams frames come in
        numbers of all kinds, and each size of batch costs a session in the beginning.

        Raises:
            EngineError: onnxruntime or CUDA failed; its own words are in the message.
        """
        parts = (pictures[i : i + _SIZES[-1]] for i in range(0, len(pictures), _SIZES[-1]))
        return [output for part in parts for output in self._batch_on_device(part)]

    def _batch_on_device(self, pictures: Sequence[Placed]) -> list[PoseOutput]:
        """One batch; what fills it up is left as it was in memory."""
        count = len(pictures)
        shape = (next(size for size in _SIZES if size >= count), *pictures[0].size, 3)
        fill = filling(self._gpu, pictures, self._io.card.input)
        tensors = self._slots.run(Filled(shape, np.dtype(np.uint8), fill))
        tensors = {name: tensor[:count] for name, tensor in tensors.items()}
        return self._io.pictures(tensors, np.broadcast_to(np.uint8(0), shape))

    def close(self) -> None:
        """Frees all that it holds on the GPU."""
        self._slots.close()


def open_cuda(
    card: ModelCard, file: EngineFile, workers: int | None = None
) -> BoundOrtEngine | OrtCudaEngine:
    """onnxruntime's CUDA provider, with buffers of our own for the compact form.

    The maps form is left to onnxruntime's own copies, and so is all where pycuda is missing: our
    page-locked memory is copied from and to once more, which for maps, 14 times the bytes, costs
    more than it gains: ResNet18 on an H200, bound against plain, 5,100 to 7,600 frames/s in the
    maps form and 9,700 to 8,700 in the compact form.

    Raises:
        EngineError: onnxruntime has no CUDA provider, or it does not start here.
        ModelError: onnxruntime refuses the ONNX.
    """
    ort = onnxruntime()
    if _PROVIDER not in ort.get_available_providers():
        raise EngineError(
            "this onnxruntime has no CUDA provider",
            fix="pip uninstall onnxruntime, then pip install onnxruntime-gpu: they share a folder",
        )
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    io = NetworkIO.of(card, file)
    if file.form == "maps":
        return open_plain(ort, io, file, workers)
    try:
        gpu = open_gpu()
    except EngineError as e:
        log.info("onnxruntime copies frames and results by itself, which is slower: %s", e)
        return open_plain(ort, io, file, workers)
    return open_bound(ort, gpu, io, file, workers)


def open_plain(ort: Any, io: NetworkIO, file: EngineFile, workers: int | None) -> OrtCudaEngine:
    """An engine that copies from and to ordinary memory.

    Raises:
        EngineError: the CUDA provider does not start here.
        ModelError: onnxruntime refuses the ONNX.
    """
    sessions = _Sessions(ort, file, io, {})
    name = f"onnxruntime (CUDA, {file.precision}, {file.form} form)"
    return OrtCudaEngine(io, sessions.run, name, workers or _SLOTS)


def open_bound(
    ort: Any, gpu: Gpu, io: NetworkIO, file: EngineFile, workers: int | None
) -> BoundOrtEngine:
    """An engine that finds its tensors in the device buffers of ``workers`` slots.

    Raises:
        EngineError: the CUDA provider does not start here.
        ModelError: onnxruntime refuses the ONNX.
    """
    with gpu.current():
        sessions = _Sessions(ort, file, io, {"device_id": str(gpu.index)})
        networks = [_Bound(sessions, io, gpu.index) for _ in range(workers or _SLOTS)]
        slots = Slots(gpu, [(network, gpu.stream()) for network in networks])
    name = f"onnxruntime (CUDA, {gpu.name}, {file.precision}, {file.form} form)"
    return BoundOrtEngine(io, gpu, slots, name)


class _Sessions:
    """A session for each input shape.

    In onnxruntime 1.31 a session prepares all its convolutions anew whenever the input's shape
    is not that of the run before: 0.6 to 3 s for pose-small on an H200.
    """

    def __init__(self, ort: Any, file: EngineFile, io: NetworkIO, place: Mapping[str, str]) -> None:
        self.names = list(io.outputs)
        self._input = io.input
        self._open: Callable[[], Any] = lambda: _session(ort, file, {**_OPTIONS, **place})
        self._lock = threading.Lock()
        self._kept: OrderedDict[Shape, Any] = OrderedDict()
        self._next = self._open()  # now: that the file is refused is to be known at once

    def of(self, shape: Shape) -> Any:
        """The session for inputs of ``shape``."""
        with self._lock:
            if shape not in self._kept:
                self._kept[shape], self._next = self._next or self._open(), None
                if len(self._kept) > _SESSIONS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(shape)
            return self._kept[shape]

    def run(self, feed: Array) -> dict[str, Array]:
        """The output tensors for ``feed``, copied by onnxruntime.

        Raises:
            EngineError: onnxruntime failed.
        """
        session = self.of(feed.shape)
        try:
            values = session.run(self.names, {self._input: feed})
        except Exception as e:
            raise _failure(e) from e
        return dict(zip(self.names, values, strict=True))

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            self._next = None


def _session(ort: Any, file: EngineFile, options: Mapping[str, str]) -> Any:
    session = open_session(ort, file, ort.SessionOptions(), [(_PROVIDER, options)])
    if _PROVIDER not in session.get_providers():
        raise EngineError("onnxruntime's CUDA provider does not start here", fix="posert doctor")
    return session


class _Bound:
    """The sessions as the network of one slot; other slots run them meanwhile.

    They run on streams of onnxruntime's own: given ours, version 1.31 ends the process when a
    session is dropped (cudaFreeHost: operation not permitted). And runs cannot be captured:
    kernels that keep small tables in host memory give that back when the run ends, so that a
    replayed graph would read what is there by then.
    """

    capturable = False

    def __init__(self, sessions: _Sessions, io: NetworkIO, device: int) -> None:
        self.input = io.input
        self._sessions = sessions
        self._place = ("cuda", device)
        self._bound: tuple[Binding, Any, Any] | None = None  # the last, its session, its binding

    def outputs(self, feed: Spec) -> Mapping[str, Spec]:
        """Found by a run on blank frames."""
        values = self._sessions.run(np.zeros(feed.shape, feed.dtype))
        return {name: Spec(value.shape, value.dtype) for name, value in values.items()}

    def enqueue(self, binding: Binding, stream: Stream) -> None:
        """Runs when what is on ``stream`` is done; returns when the outputs are there."""
        stream.synchronize()
        try:
            if self._bound is None or self._bound[0] is not binding:
                self._bound = (binding, *self._bind(binding))
            _, session, io = self._bound
            session.run_with_iobinding(io)
        except Exception as e:
            raise _failure(e) from e

    def _bind(self, binding: Binding) -> tuple[Any, Any]:
        session = self._sessions.of(binding.input.shape)
        io = session.io_binding()
        given, at = binding.input, binding.addresses
        io.bind_input(self.input, *self._place, given.dtype, given.shape, at[self.input])
        for name, spec in binding.outputs.items():
            io.bind_output(name, *self._place, spec.dtype, spec.shape, at[name])
        return session, io

    def close(self) -> None:
        self._bound = None
        self._sessions.close()


def _filled(count: int) -> int:
    """The size of the batch that ``count`` pictures are filled up to: 1, 2, 4, 8, ..."""
    return 1 << (count - 1).bit_length()


def _failure(error: Exception) -> EngineError:
    return EngineError(f"onnxruntime (CUDA) failed: {first_line(error)}")
