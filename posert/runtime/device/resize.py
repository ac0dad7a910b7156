"""Pictures on the device to a network's input on the device: one kernel, a batch a launch."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from posert.runtime.cuda import DeviceBuffer, Gpu, Stream
from posert.runtime.device.colours import Colours, factors

_MOST: Final = 32  # pictures a launch; the kernel's MOST
_PICTURE: Final = struct.Struct("2Q12i")  # the kernel's struct Picture
_ARGUMENTS: Final = f"{_MOST * _PICTURE.size}sP3i"
_BLOCK: Final = (32, 8, 1)  # threads


class Source(NamedTuple):
    """A picture in device memory, NV12 without gaps between its lines, and its size when scaled."""

    address: int
    width: int  # pixels
    height: int
    colours: Colours
    inner_width: int
    inner_height: int

    def packed(self) -> bytes:
        """It as the kernel reads it."""
        averaged = self.inner_width <= self.width and self.inner_height <= self.height
        chroma = self.address + self.width * self.height
        inner = self.inner_width, self.inner_height
        sizes = self.width, self.width, self.height, *inner, averaged
        return _PICTURE.pack(self.address, chroma, *sizes, *factors(self.colours))


class Resizer:
    """Scales and converts pictures as ``posert.runtime.preprocess.fit`` does, on the device."""

    def __init__(self, gpu: Gpu) -> None:
        """To be made in the GPU's context.

        Raises:
            EngineError: the driver does not take the kernel.
        """
        ptx = files("posert.runtime") / "kernels" / "resize_nv12.ptx"
        self._kernel = gpu.kernel(ptx.read_bytes() + b"\0", "resize_nv12", _ARGUMENTS)

    def queue(
        self,
        sources: Sequence[Source],
        size: tuple[int, int],
        fill: int,
        target: DeviceBuffer,
        stream: Stream,
    ) -> None:
        """Writes ``sources`` to ``target``, uint8 (N, height, width, 3) BGR of ``size``.

        Each lies at the top left; what it leaves free becomes ``fill``.
        """
        height, width = size
        across, down = -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
        for first in range(0, len(sources), _MOST):
            some = sources[first : first + _MOST]
            at = target.address + first * height * width * 3
            batch = b"".join(source.packed() for source in some)
            grid = across, down, len(some)
            self._kernel.launch(stream, grid, _BLOCK, batch, at, width, height, fill)


@cache
def resizer(gpu: Gpu) -> Resizer:
    """The one of this GPU."""
    return Resizer(gpu)
