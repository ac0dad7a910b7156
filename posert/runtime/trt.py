"""The TensorRT adapter, for TensorRT 8.6 to 11 and TensorRT-RTX: what they share is enough."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from posert.collector import collector_off
from posert.errors import EngineError, ModelError
from posert.manifest import EngineFile, Form
from posert.model_card import ModelCard
from posert.runtime.cuda import Gpu, Stream, open_gpu
from posert.runtime.device.placing import Placed, filling
from posert.runtime.network_io import NetworkIO
from posert.runtime.slots import DEFAULT_SLOTS, Binding, Filled, Network, Slots, Spec
from posert.types import Images, PoseOutput

# of TensorRT's DataType, by name; trt.nptype of 8.6 needs a NumPy older than 1.24
_DTYPES: Final = {
    "FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32,
    "INT64": np.int64, "BOOL": np.bool_, "UINT8": np.uint8,
}  # fmt: skip
_SOURCES = re.compile(r"^.*?Error Code \d+: |\bIn \S+ at \S+:\d+ ?")  # lines of TensorRT's own code
_LONGEST = 400  # characters of TensorRT's log in an error
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Range:
    """The input shapes that an engine takes, ends included."""

    least: tuple[int, ...]
    most: tuple[int, ...]

    def batches(self, frames: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """``frames`` in batches that the engine takes; the last may be filled up with its last.

        Raises:
            EngineError: the frames themselves are too small or too large.
        """
        self.check(frames.shape[1:])
        for first in range(0, len(frames), self.most[0]):
            batch = frames[first : first + self.most[0]]
            short = self.least[0] - len(batch)
            yield np.concatenate([batch, *[batch[-1:]] * short]) if short > 0 else batch

    def check(self, inner: tuple[int, ...]) -> None:
        """Whether it takes inputs of this shape, the batch left out.

        Raises:
            EngineError: it does not.
        """
        limits = zip(inner, self.least[1:], self.most[1:], strict=True)
        if not all(low <= side <= high for side, low, high in limits):
            expected = f"{_written(self.least[1:])} to {_written(self.most[1:])}"
            raise EngineError(
                "this engine was built for another input size",
                got=_written(inner),
                expected=_written(self.least[1:]) if self.least == self.most else expected,
                fix="build one with posert build-engine --size HxW",
            )


class TrtEngine:
    """A TensorRT engine in execution slots; thread-safe."""

    def __init__(self, io: NetworkIO, takes: Range, gpu: Gpu, slots: Slots, name: str) -> None:
        self.name = name
        self.workers = slots.count
        self.batch = takes.most[0]
        self._io = io
        self._gpu = gpu
        self._takes = takes
        self._slots = slots

    @property
    def form(self) -> Form:
        return self._io.form

    def infer(self, frames: Images) -> list[PoseOutput]:
        """What the network says of each of ``frames``, uint8 (N, H, W, 3) BGR; N may be any.

        Raises:
            EngineError: TensorRT failed, or the engine does not take frames of this size.
        """
        parts = [self._slots.run(batch) for batch in self._takes.batches(self._io.feed(frames))]
        tensors = {name: np.concatenate([p[name] for p in parts]) for name in self._io.outputs}
        return self._io.pictures(
            {name: tensor[: len(frames)] for name, tensor in tensors.items()}, frames
        )

    def infer_on_device(self, pictures: Sequence[Placed]) -> list[PoseOutput]:
        """What the network says of each of ``pictures``, all of one input size.

        Only of the compact form.

        Raises:
            EngineError: TensorRT failed, or the engine does not take this size.
        """
        size = (*pictures[0].size, 3)
        self._takes.check(size)
        most = self._takes.most[0]
        return [
            output
            for first in range(0, len(pictures), most)
            for output in self._batch_on_device(pictures[first : first + most], size)
        ]

    def _batch_on_device(
        self, pictures: Sequence[Placed], size: tuple[int, ...]
    ) -> list[PoseOutput]:
        """As many as the engine takes; what fills the batch up is left as it was in memory."""
        count = len(pictures)
        shape = (max(count, self._takes.least[0]), *size)
        fill = filling(self._gpu, pictures, self._io.card.input)
        tensors = self._slots.run(Filled(shape, np.dtype(np.uint8), fill))
        used = {name: tensors[name][:count] for name in self._io.outputs}
        return self._io.pictures(used, np.broadcast_to(np.uint8(0), shape))

    def close(self) -> None:
        """Frees all that it holds on the GPU."""
        self._slots.close()


def open_tensorrt(card: ModelCard, file: EngineFile, workers: int | None = None) -> TrtEngine:
    """An engine of TensorRT.

    Raises:
        EngineError: TensorRT, pycuda or a GPU is missing, or TensorRT refuses the engine.
    """
    return _open("tensorrt", "TensorRT", card, file, workers)


def open_tensorrt_rtx(card: ModelCard, file: EngineFile, workers: int | None = None) -> TrtEngine:
    """An engine of TensorRT-RTX.

    Raises:
        EngineError: TensorRT-RTX, pycuda or a GPU is missing, or TensorRT-RTX refuses the engine.
    """
    return _open("tensorrt_rtx", "TensorRT-RTX", card, file, workers)


def _open(
    module: str, title: str, card: ModelCard, file: EngineFile, workers: int | None
) -> TrtEngine:
    try:
        library = import_module(module)
    except ImportError as e:
        raise EngineError(f"{title} is not installed", fix="see: posert doctor") from e
    gpu = open_gpu()
    name = f"{title} {library.__version__} ({gpu.name}, {file.precision}, {file.form} form)"
    return make_engine(library, gpu, NetworkIO.of(card, file), file, name, workers)


def make_engine(
    library: Any, gpu: Gpu, io: NetworkIO, file: EngineFile, name: str, workers: int | None
) -> TrtEngine:
    """The engine in ``file``; ``library`` is the module ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        EngineError: TensorRT refuses the engine, with what it says.
        ModelError: the engine is that of another network.
    """
    with gpu.current(), collector_off():
        said = Log()
        runtime = library.Runtime(_logger(library, said))
        engine = runtime.deserialize_cuda_engine(_read(file))
        if engine is None:
            raise EngineError(
                f"{file.path} cannot run here: {said.reason()}",
                fix="an engine fits one TensorRT and kind of GPU: run posert build-engine again",
            )
        keep = (runtime, engine)  # contexts do not keep them alive in all versions
        takes = _tensors(library, engine, io, file)
        networks = list(_networks(keep, said, io, workers or DEFAULT_SLOTS, gpu))
        return TrtEngine(io, takes, gpu, Slots(gpu, networks), name)


def _read(file: EngineFile) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as e:
        raise EngineError(f"{file.path}: cannot be read: {e.strerror}") from e


def _tensors(library: Any, engine: Any, io: NetworkIO, file: EngineFile) -> Range:
    """What the engine takes; refused where its tensors are not those of the network."""
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    inputs = [n for n in names if engine.get_tensor_mode(n) == library.TensorIOMode.INPUT]
    outputs = [n for n in names if n not in inputs]
    if inputs != [io.input] or not set(io.outputs) <= set(outputs):
        raise ModelError(
            f"{file.path} is no engine of {io.card.name} in its {io.form} form",
            got=f"{inputs} -> {outputs}",
            expected=f"{[io.input]} -> {list(io.outputs)}",
            fix="build it again with posert build-engine",
        )
    shape = tuple(engine.get_tensor_shape(io.input))
    if -1 not in shape:
        return Range(shape, shape)
    least, _, most = engine.get_tensor_profile_shape(io.input, 0)
    return Range(tuple(least), tuple(most))


def _networks(
    keep: tuple[Any, Any], said: Log, io: NetworkIO, count: int, gpu: Gpu
) -> Iterator[tuple[Network, Stream]]:
    """The networks of ``count`` slots, or of as many as TensorRT makes contexts for: at least 1."""
    for number in range(count):
        stream = gpu.stream()
        try:
            network = _Contexts(keep, said, io.input, stream)
        except EngineError as e:
            if number == 0:
                raise
            # TensorRT 8 and engines built without profile sharing have one context a profile
            log.info("%d execution slots, not %d: %s", number, count, e)
            return
        yield network, stream


class _Contexts:
    """Execution contexts of an engine for one slot, one for each input shape.

    A context that takes another shape or other memory updates state which a graph captured from it
    still uses: NVIDIA's guide to TensorRT's performance advises one context a captured graph.
    """

    capturable = True

    def __init__(self, keep: tuple[Any, Any], said: Log, name: str, stream: Stream) -> None:
        """Makes a context at once: that there is no memory for one is to be known when opening."""
        self.input = name
        self._keep = keep
        self._said = said
        self._stream = stream
        self._unbound: Any = self._made()  # for the next shape
        self._bound: dict[Binding, Any] = {}

    def outputs(self, feed: Spec) -> Mapping[str, Spec]:
        engine, context = self._keep[1], self._next()
        self._must(context.set_input_shape(self.input, feed.shape), "takes no such input shape")
        self._must(not context.infer_shapes(), "infers no shapes")
        if self._dtype(self.input) != feed.dtype:
            raise EngineError("engine's input", got=feed.dtype, expected=self._dtype(self.input))
        names = (engine.get_tensor_name(i) for i in range(engine.num_io_tensors))
        shapes = {n: tuple(context.get_tensor_shape(n)) for n in names if n != self.input}
        if unknown := [name for name, shape in shapes.items() if min(shape, default=0) < 0]:
            raise EngineError(f"engine's outputs {unknown} have no shape before it is run")
        return {name: Spec(shape, self._dtype(name)) for name, shape in shapes.items()}

    def enqueue(self, binding: Binding, stream: Stream) -> None:
        if binding not in self._bound:
            self._bind(binding)
        self._must(self._bound[binding].execute_async_v3(stream.handle), "failed")

    def close(self) -> None:
        self._bound.clear()
        del self._unbound, self._keep  # in this order: a context needs its engine

    def _bind(self, binding: Binding) -> None:
        context = self._next()
        self._must(context.set_input_shape(self.input, binding.input.shape), "takes no such input")
        for name, address in binding.addresses.items():
            self._must(context.set_tensor_address(name, address), f"takes no memory for {name}")
        self._bound[binding], self._unbound = context, None
        binding.kept.callback(self._unbind, binding)

    def _unbind(self, binding: Binding) -> None:
        """Gives up the shape's context; one is kept, so that memory for one is there always."""
        self._unbound = self._bound.pop(binding)

    def _next(self) -> Any:
        """A context that no shape has."""
        if self._unbound is None:
            self._unbound = self._made()
        return self._unbound

    def _made(self) -> Any:
        context = self._keep[1].create_execution_context()
        self._must(context is not None, "makes no execution context")
        chosen = context.set_optimization_profile_async(0, self._stream.handle)
        self._must(chosen, "gives an execution context no profile")
        self._stream.synchronize()
        return context

    def _dtype(self, name: str) -> np.dtype[Any]:
        dtype = self._keep[1].get_tensor_dtype(name).name
        if dtype not in _DTYPES:
            raise EngineError(f"engine's {name!r}", got=dtype, expected=list(_DTYPES))
        return np.dtype(_DTYPES[dtype])

    def _must(self, done: bool, what: str) -> None:
        if not done:
            raise EngineError(f"TensorRT {what}: {self._said.reason()}")


class Log:
    """TensorRT's own words: its calls return None or False, and only its log says why."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def add(self, severity: str, message: str) -> None:
        error = severity in ("ERROR", "INTERNAL_ERROR")
        if error:
            self._errors.append(_SOURCES.sub("", " ".join(message.split())))
        log.log(logging.INFO if error else logging.DEBUG, "TensorRT: %s", message)

    def reason(self) -> str:
        """The errors since the last time, in one line."""
        said, self._errors = "; ".join(dict.fromkeys(self._errors)), []
        return said[:_LONGEST] or "TensorRT's log gives no reason"


def _logger(library: Any, said: Log) -> Any:
    class Logger(library.ILogger):  # type: ignore[misc]  # known only at run time
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            said.add(severity.name, message)

    return Logger()


def _written(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
