"""PyNvVideoCodec as far as the runtime uses it, on the made-up GPU of ``making.gpus``."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import Enum
from typing import Any

import av
import numpy as np

from making.gpus import FakeDriver


class FakePacket:
    """``PacketData``."""

    bsl_data: int
    bsl: int
    pts: int


@dataclass(frozen=True)
class FakeFrame:
    """``DecodedFrame``."""

    address: int
    shape: tuple[int, int]
    pts: int

    def getPTS(self) -> int:  # noqa: N802
        return self.pts

    def GetPtrToPlane(self, plane: int) -> int:  # noqa: N802
        assert plane == 0
        return self.address


class FakeNvcodec:
    """The module ``PyNvVideoCodec``; FFmpeg decodes for it."""

    PyNvVCException = type("PyNvVCException", (Exception,), {})
    cudaVideoCodec = Enum("cudaVideoCodec", ["H264", "HEVC"])  # noqa: N815
    PacketData = FakePacket

    def __init__(self, driver: FakeDriver, largest: int = 4096) -> None:
        self._driver = driver
        self._largest = largest
        self.refused: set[int] = set()  # times of packets that are not taken
        self.surfaces: set[int] = set()  # addresses of what all decoders hold

    def GetDecoderCaps(self, gpuid: int, codec: Any) -> dict[str, int]:  # noqa: N802
        most = self._largest
        return {"width_min": 48, "width_max": most, "height_min": 16, "height_max": most}

    def CreateDecoder(self, **options: Any) -> FakeNvDecoder:  # noqa: N802
        assert options["usedevicememory"]
        return FakeNvDecoder(self, self._driver, options["codec"], options["cudastream"])


class FakeNvDecoder:
    """Its pictures lie in memory that the next ``Decode`` uses again, as the real one's do."""

    def __init__(self, module: FakeNvcodec, driver: FakeDriver, codec: Any, stream: int) -> None:
        self._module = module
        self._driver = driver
        self._stream = driver.streams[stream]
        self._codec = av.CodecContext.create(codec.name.lower(), "r")
        self._codec.thread_type = "NONE"
        self._surfaces: list[Any] = []

    def Decode(self, packet: FakePacket) -> list[FakeFrame]:  # noqa: N802
        if packet.pts in self._module.refused:
            raise self._module.PyNvVCException("HandleVideoSequence failed\nat line 1")
        given = None
        if packet.bsl:
            given = av.Packet(ctypes.string_at(packet.bsl_data, packet.bsl))
            given.pts = packet.pts
        frames: list[Any] = list(self._codec.decode(given))
        return [self._put(i, frame) for i, frame in enumerate(frames)]

    def _put(self, place: int, frame: Any) -> FakeFrame:
        nv12 = frame.reformat(format="nv12").to_ndarray()
        self._driver.depth += 1
        while len(self._surfaces) <= place or self._size(place) < nv12.nbytes:
            self._surfaces.insert(place, self._driver.mem_alloc(nv12.nbytes))
        self._driver.depth -= 1
        address = int(self._surfaces[place])
        self._module.surfaces.add(address)
        self._stream.queue(lambda: self._driver.write(address, np.asarray(nv12)))
        return FakeFrame(address, nv12.shape, frame.pts)

    def _size(self, place: int) -> int:
        return self._driver.memory[int(self._surfaces[place])].nbytes
