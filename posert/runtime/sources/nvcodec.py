"""Video files decoded by the GPU's own decoder, NVDEC; their pictures stay in its memory.

FFmpeg, through PyAV, splits the file into packets, and NVDEC takes them one by one. So times,
seeking and counting are those of ``VideoFile``, and the pictures are FFmpeg's bit for bit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NoReturn

import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext

from posert.errors import InputError
from posert.runtime.cuda import open_gpu
from posert.runtime.device.colours import Colours
from posert.runtime.device.pictures import Pool
from posert.runtime.sources.nvdec import Damaged, Decoded, Decoder, limits
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import DevicePicture, Frame, Image

log = logging.getLogger(__name__)

# FFmpeg's name of a codec -> PyNvVideoCodec's, and FFmpeg's filter to the form that it takes
_CODECS: Final = {"h264": ("H264", "h264_mp4toannexb"), "hevc": ("HEVC", "hevc_mp4toannexb")}
_FORMATS: Final = ("yuv420p", "yuvj420p")  # what NVDEC hands out as NV12


class NotOnDevice(InputError):
    """A file that NVDEC cannot decode as FFmpeg does: FFmpeg is to take it."""


class NvcodecFile(VideoFile):
    """One video file whose frames hold pictures in a GPU's memory.

    What NVDEC could not decode whole it conceals; what does not come out at all is counted as
    damaged.

    Raises:
        NotOnDevice: FFmpeg is to decode it; the message says why.
        InputError: it is missing, empty, no video, or holds no frame.
        EngineError: PyNvVideoCodec, pycuda or the GPU cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._gpu = open_gpu()
        self._decoder: Decoder | None = None  # FFmpeg decodes the first picture: to look at it
        self._first: Any = None
        self._timed = True
        super().__init__(path)
        try:
            self._colours = self._checked()
        except NotOnDevice:
            super().close()
            raise
        self._first = None
        self._pool = Pool(self._gpu, self.info.width, self.info.height, self._colours)

    def frames(self, span: Span) -> Iterator[Frame]:
        codec, bitstream = _CODECS[self._stream.codec_context.name]
        self._to_annexb = BitStreamFilterContext(bitstream, self._stream)
        self._hidden: set[int | None] = set()
        self._newest: int | None = None
        with closing(Decoder(self._gpu, codec)) as self._decoder:
            yield from super().frames(span)

    def close(self) -> None:
        super().close()
        self._pool.close()

    def _connect(self) -> None:
        super()._connect()
        self._stream.thread_type = "NONE"  # FFmpeg decodes but one picture

    def _first_frame(self) -> Any:
        self._first = super()._first_frame()
        return self._first

    def _checked(self) -> Colours:
        """How the file's colours are meant.

        Raises:
            NotOnDevice: NVDEC cannot decode it as FFmpeg does.
        """
        first, codec = self._first, self._stream.codec_context.name
        colours = Colours.of(first.colorspace, first.color_range, first.height)
        if codec not in _CODECS:
            self._refuse(f"is {codec}", f"one of {', '.join(_CODECS)}")
        if first.format.name not in _FORMATS:
            self._refuse(f"has pictures in {first.format.name}", f"one of {', '.join(_FORMATS)}")
        if first.interlaced_frame:
            self._refuse("is interlaced", "whole pictures")
        if self._turn:
            self._refuse("is to be turned", "upright pictures")
        if first.width % 2 or first.height % 2:
            self._refuse(f"is {first.width} x {first.height}", "an even width and height")
        if not self._timed:
            self._refuse("has packets without a time", "a time in each packet")
        if colours is None:
            self._refuse(f"has colours of kind {first.colorspace}", "BT.601, BT.709 or BT.2020")
        possible = limits(self._gpu.index, _CODECS[codec][0])
        if not possible.hold(first.width, first.height):
            self._refuse(f"is {first.width} x {first.height}", str(possible))
        return colours

    def _refuse(self, what: str, expected: str) -> NoReturn:
        raise NotOnDevice(f"{self._path}: {what}, which NVDEC does not decode", expected=expected)

    def _decode(self, packet: Any) -> list[Any]:
        if self._decoder is None:
            self._timed = self._timed and (packet.pts is not None or not packet.size)
            return super()._decode(packet)
        at_end = not packet.size  # asked before the filter takes the packet's bytes away
        if packet.is_discard:  # outside the file's edit list: decoded, not shown
            self._hidden.add(packet.pts)
        decoded: list[Decoded] = []
        for part in self._to_annexb.filter(None if at_end else packet):
            decoded += self._decode_part(part.buffer_ptr, part.buffer_size, part.pts)
        if at_end:
            decoded += self._decode_part(0, 0, None)
        return [each for each in decoded if self._is_shown(each)]

    def _decode_part(self, address: int, nbytes: int, pts: int | None) -> list[Decoded]:
        assert self._decoder is not None
        try:
            return self._decoder.decode(address, nbytes, pts)
        except Damaged as e:
            self.skipped += 1
            log.debug("%s: damaged packet: %s", self._path, e)
            return []

    def _pts_of(self, frame: Any) -> int:
        """Nearly all have one: fractions, a few microseconds each, are for the others."""
        return frame.pts if frame.pts is not None else super()._pts_of(frame)

    def _is_shown(self, decoded: Decoded) -> bool:
        """Behind lost packets pictures may come twice or too late: those are damaged."""
        if decoded.pts in self._hidden:
            self._hidden.remove(decoded.pts)
            return False
        if decoded.pts is None or self._newest is None or decoded.pts > self._newest:
            self._newest = decoded.pts
            return True
        self.skipped += 1
        return False

    def _picture(self, decoded: Decoded) -> Image | DevicePicture:
        assert self._decoder is not None
        size = decoded.width, decoded.height
        if size == (self.info.width, self.info.height):
            with self._gpu.current():
                return self._pool.picture(decoded.address, self._decoder.stream)
        with closing(Pool(self._gpu, *size, self._colours)) as other:  # the resolution changed
            with self._gpu.current():
                picture = other.picture(decoded.address, self._decoder.stream)
            image = cv2.resize(
                picture.to_host(),
                (self.info.width, self.info.height),
                interpolation=cv2.INTER_AREA,
            )
        return np.asarray(image, np.uint8)
