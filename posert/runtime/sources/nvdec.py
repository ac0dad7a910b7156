"""NVDEC through PyNvVideoCodec's plain decoder: packets in, pictures in device memory out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from posert.errors import EngineError, first_line
from posert.runtime.cuda import Gpu

NO_PTS: Final = -(1 << 63)  # FFmpeg's for a packet without a time


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture in the decoder's own memory: gone with the next packet."""

    address: int  # NV12, lines without gaps
    width: int  # pixels
    height: int
    pts: int | None


class Damaged(Exception):
    """A packet that the decoder does not take; the next may be sound."""


class Decoder:
    """One stream's decoder; used by one thread at a time. ``stream`` is where its copies queue."""

    def __init__(self, gpu: Gpu, codec: str) -> None:
        """``codec`` is PyNvVideoCodec's name of it, as ``H264``.

        Raises:
            EngineError: PyNvVideoCodec or the driver's part of it is missing.
        """
        self._library = library()
        self._gpu = gpu
        with gpu.current():
            self.stream = gpu.stream()
            self._decoder: Any = self._library.CreateDecoder(
                gpuid=gpu.index,
                codec=getattr(self._library.cudaVideoCodec, codec),
                cudacontext=gpu.handle,
                cudastream=self.stream.handle,
                usedevicememory=True,
            )

    def decode(self, address: int, nbytes: int, pts: int | None) -> list[Decoded]:
        """What comes out, in order of display, when a packet goes in; without bytes: what is left.

        Leaves Python's lock while it decodes.

        Raises:
            Damaged: the packet is refused.
        """
        packet = self._library.PacketData()
        packet.bsl_data, packet.bsl = address, nbytes
        packet.pts = NO_PTS if pts is None else pts
        try:
            return [_decoded(frame) for frame in self._decoder.Decode(packet)]
        except self._library.PyNvVCException as e:
            raise Damaged(first_line(e)) from e

    def close(self) -> None:
        """Frees what it holds."""
        with self._gpu.current():
            self.stream.synchronize()
            self._decoder = None
            self.stream.close()


def _decoded(frame: Any) -> Decoded:
    lines, width = frame.shape  # of luma and chroma together
    pts = frame.getPTS()
    address = frame.GetPtrToPlane(0)
    return Decoded(address, width, lines * 2 // 3, None if pts == NO_PTS else pts)


def library() -> Any:
    """The module PyNvVideoCodec.

    Raises:
        EngineError: it is not installed, or the driver's libraries are missing.
    """
    logging.getLogger("PyNvVideoCodec").addFilter(_is_trouble)  # it sets its own level, to INFO
    try:
        return import_module("PyNvVideoCodec")
    except (ImportError, RuntimeError, OSError) as e:
        raise EngineError(
            f"PyNvVideoCodec does not load: {first_line(e)}", fix="see: posert doctor"
        ) from e


@dataclass(frozen=True, slots=True)
class Limits:
    """The smallest and largest pictures of a codec that a GPU's NVDEC takes, pixels."""

    width: tuple[int, int]
    height: tuple[int, int]

    def hold(self, width: int, height: int) -> bool:
        """Whether it takes pictures of this size."""
        (narrowest, widest), (lowest, highest) = self.width, self.height
        return narrowest <= width <= widest and lowest <= height <= highest

    def __str__(self) -> str:
        (narrowest, widest), (lowest, highest) = self.width, self.height
        return f"{narrowest} x {lowest} to {widest} x {highest}"


@lru_cache
def limits(device: int, codec: str) -> Limits:
    """Those of ``codec``, PyNvVideoCodec's name of it; 0 for one that NVDEC does not know.

    Asked once: PyNvVideoCodec makes and ends a CUDA context for it.
    """
    codec_id = getattr(library().cudaVideoCodec, codec)
    caps = library().GetDecoderCaps(gpuid=device, codec=codec_id)
    width, height = (
        (int(caps.get(f"{side}_min", 0)), int(caps.get(f"{side}_max", 0)))
        for side in ("width", "height")
    )
    return Limits(width, height)


def _is_trouble(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
