"""Pipelines that end in OpenCV: files, cameras and streams."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from posert.errors import ConfigError, InputError
from posert.runtime.pipelines.decoding import (
    Pixels,
    Size,
    decode,
    to_bgr,
    to_bgr_in_software,
)
from posert.runtime.pipelines.passwords import without_passwords
from posert.runtime.pipelines.text import (
    PipelineText,
    caps,
    credentials,
    element,
    with_properties,
)

# FFmpeg's name of a container -> the element that opens it; "" opens nothing: a raw stream
DEMUXERS: Final = {
    "mov,mp4,m4a,3gp,3g2,mj2": "qtdemux",
    "matroska,webm": "matroskademux",
    "avi": "avidemux",
    "mpegts": "tsdemux",
    "mpeg": "mpegpsdemux",
    "flv": "flvdemux",
    "h264": "",
    "hevc": "",
}
# every frame of a file counts; of a live source only the newest does
_ALL: Final = element("appsink", drop="false", max_buffers=4, sync="false")
_NEWEST: Final = element("appsink", drop="true", max_buffers=1, sync="false")


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera and the pictures wanted of it; None: as it comes."""

    device: str  # /dev/video0, or a CSI sensor's number
    width: int | None = None  # pixels
    height: int | None = None
    rate: Fraction | None = None  # frames a second

    @classmethod
    def parse(cls, address: str) -> Camera:
        """``csi://0?width=1920&height=1080&fps=30``, ``v4l2:///dev/video0?..``, ``0``.

        Raises:
            InputError: it says what no camera understands.
        """
        if "://" not in address:
            return cls(f"/dev/video{address}" if address.isdigit() else address)
        parts = urlsplit(address)
        given = dict(parse_qsl(parts.query))
        try:
            width, height = (int(given[k]) if k in given else None for k in ("width", "height"))
            rate = Fraction(given["fps"]) if "fps" in given else None
        except (ValueError, ZeroDivisionError) as e:
            raise InputError(f"{address}: width, height and fps are numbers") from e
        if unknown := given.keys() - {"width", "height", "fps"}:
            raise InputError(address, got=sorted(unknown), expected="width, height, fps")
        place = parts.netloc + parts.path
        numbered = parts.scheme == "v4l2" and place.isdigit()
        return cls(f"/dev/video{place}" if numbered else place or "0", width, height, rate)

    def caps(self, kind: str) -> PipelineText:
        """The formats wanted, ``kind`` first."""
        rate = self.rate and f"{self.rate.numerator}/{self.rate.denominator}"
        wanted = {"width": self.width, "height": self.height, "framerate": rate}
        return caps(",".join([kind, *(f"{k}={v}" for k, v in wanted.items() if v)]))


def file(
    path: Path,
    container: str,
    codec: str,
    elements: AbstractSet[str],
    *,
    size: Size | None = None,
    pixels: Pixels = "BGR",
) -> PipelineText:
    """All frames of a video file whose container and codec have FFmpeg's names.

    ``pixels`` I420 leaves the colours to the caller where no device converts them.

    Raises:
        ConfigError: no element opens or decodes it, or its name cannot be told to GStreamer.
    """
    if container not in DEMUXERS:
        raise ConfigError(
            f"{path}: GStreamer is not used for this kind of file",
            got=container,
            expected=f"one of {', '.join(DEMUXERS)}",
            fix="use --io ffmpeg",
        )
    source = element("filesrc", location=str(path.absolute()))
    demuxer = DEMUXERS[container]
    if demuxer:
        # the demuxer offers sound too: the parser or decoder behind it takes the video
        source = source >> element(demuxer)
    return source >> decode(codec, elements, live=False, size=size, pixels=pixels) >> _ALL


def rtsp(
    address: str,
    elements: AbstractSet[str],
    *,
    transport: Literal["tcp", "udp"] = "tcp",
    latency_s: float = 0.0,
    open_timeout_s: float = 10.0,
    codec: str | None = None,
    size: Size | None = None,
) -> PipelineText:
    """An RTSP stream; without ``codec`` GStreamer finds it and a decoder out itself.

    User and password are taken out of ``address`` and given as properties.
    """
    bare, login = credentials(address)
    microseconds = round(open_timeout_s * 1e6)
    source = with_properties(
        "rtspsrc",
        {
            "location": bare, "protocols": transport, "latency": round(latency_s * 1000),
            "drop-on-latency": "true", "tcp-timeout": microseconds, "timeout": microseconds,
            **login,
        },
        ["user-pw"],
    )  # fmt: skip
    if codec is None:
        return source >> caps("application/x-rtp,media=video") >> _any(size)
    depay = {"h264": "rtph264depay", "hevc": "rtph265depay", "mjpeg": "rtpjpegdepay"}.get(codec)
    if depay is None:
        raise ConfigError("RTSP", got=codec, expected="h264, hevc or mjpeg")
    return source >> element(depay) >> decode(codec, elements, live=True, size=size) >> _NEWEST


def http(address: str, *, open_timeout_s: float = 10.0, size: Size | None = None) -> PipelineText:
    """An HTTP stream, of whatever container and codec."""
    bare, login = credentials(address)
    seconds = max(1, round(open_timeout_s))
    properties: dict[str, str | int] = {"location": bare, "timeout": seconds, "is-live": "true"}
    return with_properties("souphttpsrc", {**properties, **login}, ["user-pw"]) >> _any(size)


def v4l2(
    camera: Camera,
    pixels: Literal["mjpeg", "raw"],
    elements: AbstractSet[str],
    size: Size | None = None,
) -> PipelineText:
    """A V4L2 camera that sends JPEG pictures, or raw ones."""
    source = element("v4l2src", device=camera.device, do_timestamp="true")
    if pixels == "mjpeg":
        jpeg = source >> camera.caps("image/jpeg")
        return jpeg >> decode("mjpeg", elements, live=True, size=size) >> _NEWEST
    return source >> camera.caps("video/x-raw") >> to_bgr_in_software(size) >> _NEWEST


def csi(camera: Camera, elements: AbstractSet[str], size: Size | None = None) -> PipelineText:
    """A camera at Jetson's CSI connector; 1920 x 1080 at 30 frames a second if nothing is said."""
    wanted = Camera(
        camera.device, camera.width or 1920, camera.height or 1080, camera.rate or Fraction(30)
    )
    source = element("nvarguscamerasrc", sensor_id=camera.device)
    on_device = wanted.caps("video/x-raw(memory:NVMM),format=NV12")
    return source >> on_device >> to_bgr("v4l2", elements, size) >> _NEWEST


def custom(text: str) -> PipelineText:
    """The user's own beginning of a pipeline, which offers raw or coded pictures."""
    return PipelineText(text, without_passwords(text)) >> _any(None)


def _any(size: Size | None) -> PipelineText:
    return element("decodebin") >> to_bgr_in_software(size) >> _NEWEST
