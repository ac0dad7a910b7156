"""Small video files made with FFmpeg: rates, timestamps, sound, rotation and damage as asked."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from making.pictures import nose_of_frame, picture
from posert.types import Image

SIZE = (96, 64)  # width, height of clips


@dataclass(frozen=True)
class Packet:
    """A coded piece of a stream: its time in seconds, and its bytes."""

    time_s: Fraction
    data: bytes


def clip(
    path: Path,
    images: Iterable[Image] | int = 12,
    *,
    rate: Fraction = Fraction(25),
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    gop: int = 12,
    sound: str | None = None,
    sound_rate: int = 48000,
    sound_layout: str = "mono",
    pixel: Fraction | None = None,
    format: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes ``images``, or so many frames of a walking person, to ``path`` and returns it.

    ``pts`` are in ``time_base``, 1 / rate where it is not given; ``sound`` is an audio codec,
    whose sound is as long as the video; ``pixel`` is a pixel's width / height.
    """
    if isinstance(images, int):
        images = [picture(*SIZE, [nose_of_frame(i)]) for i in range(images)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        video = _video_stream(container, codec, rate, time_base or 1 / rate, gop)
        if pixel is not None:
            video.codec_context.sample_aspect_ratio = pixel
        audio: Any = None
        if sound:
            audio = container.add_stream(sound, rate=sound_rate, layout=sound_layout)
        count = 0
        for count, image in enumerate(images, 1):
            if count == 1:
                video.height, video.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = pts[count - 1] if pts is not None else count - 1
            frame.time_base = time_base or 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _write_sound(container, audio, count / rate)
    return path


def read(path: Path) -> list[Image]:
    """All frames of a video, as its colour tags say, (H, W, 3) uint8 BGR."""
    with av.open(str(path)) as container:
        return [
            np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in container.decode(video=0)
        ]


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, seconds from the first."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pts = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        return [(p - pts[0]) * Fraction(stream.time_base or 1) for p in pts]


def sound_packets(path: Path) -> list[Packet]:
    """The coded sound, its times as the container gives them."""
    with av.open(str(path)) as container:
        return [
            Packet(Fraction(p.pts) * Fraction(p.time_base), bytes(p))
            for p in container.demux(audio=0)
            if p.pts is not None and p.size
        ]


def turn(path: Path, clockwise: int) -> Path:
    """Marks an MP4 to be shown turned by ``clockwise`` degrees, as telephones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of other fields
    a, b = round(math.cos(math.radians(clockwise))), round(math.sin(math.radians(clockwise)))
    one = 1 << 16
    data[at : at + 36] = struct.pack(
        ">9i", a * one, b * one, 0, -b * one, a * one, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)
    return path


def quadrants(width: int = 96, height: int = 64) -> Image:
    """Four colours, by which one sees how a picture is turned: red at the top left."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    image[top, left], image[top, right] = (0, 0, 220), (0, 220, 0)
    image[bottom, left], image[bottom, right] = (220, 0, 0), (220, 220, 220)
    return image


def _video_stream(container: Any, codec: str, rate: Fraction, time_base: Fraction, gop: int) -> Any:
    stream = container.add_stream(codec, rate=rate)
    stream.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24", "ffv1": "bgr0"}.get(codec, "yuv420p")
    stream.codec_context.time_base = stream.time_base = time_base
    stream.codec_context.gop_size = gop
    stream.codec_context.thread_count = 1
    if codec == "libx264":
        stream.options = {"preset": "ultrafast", "crf": "10", "sc_threshold": "0"}
    return stream


def _write_sound(container: Any, stream: Any, seconds: Fraction) -> None:
    """A rising tone, so that no two packets are alike."""
    rate = stream.codec_context.sample_rate
    t = np.arange(int(rate * seconds)) / rate
    wave = (0.3 * np.sin(2 * np.pi * (300 + 200 * t) * t)).astype(np.float32)
    kind = stream.codec_context.format.name if stream.codec_context.format else "fltp"
    resampler = av.AudioResampler(format=kind, layout=stream.codec_context.layout, rate=rate)
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for piece in resampler.resample(frame):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))
