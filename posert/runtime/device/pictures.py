"""Decoded pictures in memory of ours: what a decoder gives is overwritten by its next one.

Whoever reads a picture on the device waits until that is done before letting go of it: then its
memory goes back to the pool it came from and takes the next picture.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from posert.runtime.cuda import DeviceBuffer, Event, Gpu, Stream
from posert.runtime.device.colours import Colours
from posert.runtime.device.resize import Source, resizer
from posert.types import Image


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """Memory of one picture, and the mark behind what writes it."""

    memory: DeviceBuffer
    ready: Event

    def close(self) -> None:
        """To be called in the GPU's context."""
        self.memory.close()
        self.ready.close()


class Pool:
    """Memory for pictures of one size; as many as are in use at once, and no more."""

    def __init__(self, gpu: Gpu, width: int, height: int, colours: Colours) -> None:
        """``width`` and ``height`` are even."""
        self.width = width
        self.height = height
        self.colours = colours
        self._gpu = gpu
        self._free: deque[_Surface] = deque()
        self._closed = False
        self._lock = threading.Lock()  # of closing
        self._end = weakref.finalize(self, _close, gpu, self._free)

    def picture(self, address: int, stream: Stream) -> Nv12Picture:
        """A copy of the NV12 picture at ``address``, lines without gaps, queued on ``stream``.

        To be called in the GPU's context.

        Raises:
            EngineError: there is no memory left.
        """
        nbytes = self.width * self.height * 3 // 2
        try:
            surface = self._free.pop()
        except IndexError:
            surface = _Surface(self._gpu.device_buffer(nbytes), self._gpu.event())
        stream.copy(surface.memory, address, nbytes)
        stream.mark(surface.ready)
        return Nv12Picture(self, surface)

    def give_back(self, surface: _Surface) -> None:
        """Takes the memory of a picture that nobody holds any longer."""
        with self._lock:
            if not self._closed:
                self._free.append(surface)
                return
        with self._gpu.current():
            surface.close()

    def close(self) -> None:
        """Frees what is not in use; the rest is freed as it comes back."""
        with self._lock:
            self._closed = True
        self._end()

    def to_host(self, picture: Nv12Picture) -> Image:
        """``picture`` converted on the device, as FFmpeg does it, and copied."""
        gpu, shape = self._gpu, (self.height, self.width, 3)
        image = np.empty(shape, np.uint8)
        with gpu.current():
            stream, buffer = gpu.stream(), gpu.device_buffer(image.nbytes)
            try:
                stream.wait(picture.ready)
                resizer(gpu).queue(
                    [picture.source(self.height, self.width)], shape[:2], 0, buffer, stream
                )
                stream.download(image, buffer)
                stream.synchronize()
            finally:
                buffer.close()
                stream.close()
        return image


def _close(gpu: Gpu, free: deque[_Surface]) -> None:
    with gpu.current():
        while free:
            free.pop().close()


@dataclass(eq=False)
class Nv12Picture:
    """A picture in device memory: luma, then u and v interleaved at half the size each way."""

    _pool: Pool
    _surface: _Surface
    width: int = field(init=False)  # pixels
    height: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = self._pool.width
        self.height = self._pool.height

    @property
    def ready(self) -> Event:
        """The mark that streams wait for before they read it."""
        return self._surface.ready

    def source(self, height: int, width: int) -> Source:
        """It as a picture to be scaled to this height and width."""
        pool = self._pool
        address = self._surface.memory.address
        return Source(address, pool.width, pool.height, pool.colours, width, height)

    def to_host(self) -> Image:
        """A copy, (H, W, 3) uint8 BGR: bit for bit that of FFmpeg on x86."""
        return self._pool.to_host(self)

    def __del__(self) -> None:
        self._pool.give_back(self._surface)
