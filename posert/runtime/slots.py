"""Execution slots: several calls of one network on a GPU at once, copies beside compute.

A slot has a stream of its own and page-locked and device memory for each tensor. A call takes a
free slot, copies its frames in, runs, and copies the results out, so while one slot copies another
computes. Or kernels on the slot's stream make the input from what is on the device already. What a
slot does for one input shape is captured as a CUDA graph the first time, where the backend allows
it, and replayed from then on.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from posert.errors import EngineError
from posert.runtime.cuda import DeviceBuffer, Gpu, Graph, PinnedBuffer, Stream

Shape = tuple[int, ...]
Array = npt.NDArray[Any]

DEFAULT_SLOTS: Final = 3  # one copies in, one computes, one copies out
_SHAPES_KEPT: Final = 16  # graphs of the most recent input shapes; pictures can have any
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and type of a tensor."""

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """Where a network finds its input and puts its outputs, for one input shape.

    ``kept`` is closed when the slot forgets the shape: what a network holds for it ends there.
    """

    input: Spec
    outputs: Mapping[str, Spec]
    addresses: Mapping[str, int]  # of all tensors, in device memory
    kept: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """An input tensor that is made on the device.

    ``fill`` queues on the stream what writes it to the buffer; nothing it reads may change before
    the call that it was given to returns.
    """

    shape: Shape
    dtype: np.dtype[Any]
    fill: Callable[[DeviceBuffer, Stream], None]


Feed = Array | Filled


class Network(Protocol):
    """A backend's part of a slot: one network that one thread at a time enqueues."""

    input: str  # name of the input tensor
    capturable: bool  # whether what it enqueues may be replayed as a CUDA graph

    def outputs(self, feed: Spec) -> Mapping[str, Spec]:
        """What comes out when ``feed`` goes in.

        Raises:
            EngineError: the network does not take it.
        """
        ...

    def enqueue(self, binding: Binding, stream: Stream) -> None:
        """Queues the network on ``stream``, or runs it where the backend cannot queue.

        Raises:
            EngineError: the backend failed; its own words are in the message.
        """
        ...

    def close(self) -> None:
        """Frees what it holds, while its stream still lives."""
        ...


class Slots:
    """As many calls at once as there are ``networks``; further ones wait. Thread-safe."""

    def __init__(self, gpu: Gpu, networks: Sequence[tuple[Network, Stream]]) -> None:
        """Each of ``networks`` has the stream on which it will run."""
        slots = [_Slot(gpu, network, stream) for network, stream in networks]
        self.count = len(slots)
        self._closed = False
        self._closing = threading.Lock()
        # The last used first, as it has its graphs; None for ever once all are closed
        self._free: queue.LifoQueue[_Slot | None] = queue.LifoQueue()
        for slot in slots:
            self._free.put(slot)
        self._end = weakref.finalize(self, _close, gpu, slots)  # at the latest when Python ends

    def run(self, feed: Feed) -> dict[str, Array]:
        """The output tensors for the input tensor ``feed``, in ordinary memory.

        Raises:
            EngineError: the backend or CUDA failed, memory is short, or ``close`` was called.
        """
        if self._closed:
            raise EngineError("the engine was closed")
        slot = self._free.get()
        try:
            if slot is None:
                raise EngineError("the engine was closed")
            return slot.run(feed)
        finally:
            self._free.put(slot)

    def close(self) -> None:
        """Waits for the calls under way, then frees all streams, graphs and memory."""
        with self._closing:
            if self._closed:
                return
            self._closed = True  # from here on no call comes to wait for a slot
            for _ in range(self.count):
                self._free.get()
            try:
                self._end()
            finally:
                self._free.put(None)  # for calls that waited


def _close(gpu: Gpu, slots: Sequence[_Slot]) -> None:
    with gpu.current():
        gpu.synchronize()
        for slot in slots:
            slot.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What a slot does for one input shape, from the host or made on the device."""

    put: Callable[[Feed], None]  # brings the input to where ``launch`` takes it
    results: dict[str, Array]  # page-locked
    launch: Callable[[], None]
    kept: ExitStack  # the graph, and what the network holds for this shape


_Key = tuple[Shape, bool]  # whether the input is made on the device


class _Slot:
    def __init__(self, gpu: Gpu, network: Network, stream: Stream) -> None:
        self._gpu = gpu
        self._network = network
        self._stream = stream
        self._memory: dict[str, tuple[PinnedBuffer, DeviceBuffer]] = {}
        self._plans: OrderedDict[_Key, _Plan] = OrderedDict()
        self._captures = network.capturable

    def run(self, feed: Feed) -> dict[str, Array]:
        with self._gpu.current():
            plan = self._plan(feed)
            plan.put(feed)
            plan.launch()
            self._stream.synchronize()
            return {name: result.copy() for name, result in plan.results.items()}

    def close(self) -> None:
        self._forget_plans()
        while self._memory:
            _, buffers = self._memory.popitem()
            for buffer in buffers:
                buffer.close()
        self._network.close()
        self._stream.close()

    def _plan(self, feed: Feed) -> _Plan:
        """The plan for the shape of ``feed``; made, after one run to warm up, if it is new."""
        key = feed.shape, isinstance(feed, Filled)
        if plan := self._plans.get(key):
            self._plans.move_to_end(key)
            return plan
        try:
            plan = self._made(feed)
        except EngineError as e:
            if not self._plans:
                raise
            log.info("what is kept for other input shapes is given up: %s", e)
            self._forget_plans()
            plan = self._made(feed)
        self._keep(key, plan)
        return plan

    def _made(self, feed: Feed) -> _Plan:
        given = Spec(feed.shape, feed.dtype)
        outputs = dict(self._network.outputs(given))
        tensors = {self._network.input: given, **outputs}
        for name, spec in tensors.items():
            self._grow(name, spec.nbytes)
        views = {name: self._memory[name][0].view(s.shape, s.dtype) for name, s in tensors.items()}
        addresses = {name: self._memory[name][1].address for name in tensors}
        binding = Binding(given, outputs, addresses)
        put, work = self._work(binding, views, made_here=isinstance(feed, Filled))
        with ExitStack() as undo:
            undo.callback(binding.kept.close)
            put(feed)
            work()
            self._stream.synchronize()
            if (graph := self._capture(work)) is not None:
                binding.kept.callback(graph.close)
            undo.pop_all()
        results = {name: views[name] for name in outputs}
        return _Plan(put, results, graph.launch if graph is not None else work, binding.kept)

    def _work(
        self, binding: Binding, views: Mapping[str, Array], made_here: bool
    ) -> tuple[Callable[[Feed], None], Callable[[], None]]:
        """What differs from call to call, and what does not: the copies and the network.

        All is queued on the slot's stream; only the second part may become a graph.
        """
        network, stream, memory = self._network, self._stream, self._memory
        view, buffer = views[network.input], memory[network.input][1]

        def put(feed: Feed) -> None:
            if isinstance(feed, Filled):
                feed.fill(buffer, stream)
            else:
                np.copyto(view, feed)

        def work() -> None:
            if not made_here:
                stream.upload(buffer, view)
            network.enqueue(binding, stream)
            for name in binding.outputs:
                stream.download(views[name], memory[name][1])

        return put, work

    def _capture(self, work: Callable[[], None]) -> Graph | None:
        if not self._captures:
            return None
        try:
            return self._stream.capture(work)
        except EngineError as e:
            log.info("no CUDA graph, work is queued step by step: %s", e)
            self._captures = False
            return None

    def _grow(self, name: str, nbytes: int) -> None:
        """Memory of at least ``nbytes`` for a tensor; plans that hold smaller memory are gone."""
        if name in self._memory:
            if self._memory[name][0].nbytes >= nbytes:
                return
            self._forget_plans()
            for buffer in self._memory.pop(name):
                buffer.close()
        pinned = self._gpu.pinned_buffer(nbytes)
        try:
            self._memory[name] = pinned, self._gpu.device_buffer(nbytes)
        except EngineError:
            pinned.close()
            raise

    def _keep(self, key: _Key, plan: _Plan) -> None:
        self._plans[key] = plan
        if len(self._plans) > _SHAPES_KEPT:
            _, oldest = self._plans.popitem(last=False)
            oldest.kept.close()

    def _forget_plans(self) -> None:
        while self._plans:
            _, plan = self._plans.popitem()
            plan.kept.close()
