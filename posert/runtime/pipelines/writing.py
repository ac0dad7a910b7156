"""Pipelines that OpenCV writes into: files that survive a kill, and network streams."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from fractions import Fraction
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from posert.errors import ConfigError, OutputError
from posert.runtime.pipelines.decoding import nvidia_converter
from posert.runtime.pipelines.passwords import without_password
from posert.runtime.pipelines.text import (
    PipelineText,
    caps,
    credentials,
    element,
    named_elements,
    with_properties,
)

FRAGMENT_MS: Final = 250  # what a kill may cost
# the colours that HD players expect, said aloud, as an encoder passes on what it is told
_BT709: Final = "colorimetry=bt709"
_BITS_A_PIXEL: Final = 0.12  # for encoders that know no constant quality
_TS_PACKETS: Final = 7  # of 188 bytes fit into one datagram
_MUXERS: Final = {".mp4": "mp4mux", ".m4v": "mp4mux", ".mov": "qtmux", ".mkv": "matroskamux"}


def writing(
    target: str,
    encoder: str,
    elements: AbstractSet[str],
    size: tuple[int, int],
    rate: Fraction,
) -> PipelineText:
    """BGR pictures of ``size`` (even width and height) at ``rate`` into a file or to an address.

    Raises:
        ConfigError: ``encoder`` is none of ``ENCODERS``.
        OutputError: nothing writes to such a ``target``.
    """
    if encoder not in ENCODERS:
        raise ConfigError("encoder", got=encoder, expected=f"one of {', '.join(ENCODERS)}")
    key_frames = max(1, round(rate))  # a key frame a second: a fragment each
    bits = round(size[0] * size[1] * float(rate) * _BITS_A_PIXEL)
    coded = ENCODERS[encoder](elements, key_frames, bits)
    return element("appsrc") >> coded >> _sink(target)


def needed(target: str, encoder: str, elements: AbstractSet[str]) -> list[str]:
    """The elements that writing to ``target`` asks for and that are not there."""
    text = writing(target, encoder, elements, (64, 64), Fraction(25)).text
    return [name for name in named_elements(text) if name not in elements]


def _sink(target: str) -> PipelineText:
    scheme = _scheme(target)
    if scheme in ("rtsp", "rtsps"):
        bare, login = credentials(target)
        place: dict[str, str | int] = {"location": bare, "protocols": "tcp", "latency": 0}
        sink = with_properties("rtspclientsink", {**place, **login}, ["user-pw"])
        return element("h264parse", config_interval=-1) >> sink
    if scheme == "udp":
        return _transport_stream(target)
    ending = Path(target).suffix.lower()
    if scheme or ending not in _MUXERS:
        raise OutputError(
            without_password(target),
            got=scheme or ending or "no ending",
            expected=f"{', '.join(_MUXERS)}, rtsp:// or udp://",
        )
    muxer: dict[str, str | int] = {"fragment-duration": FRAGMENT_MS}
    if ending == ".mkv":
        muxer = {}
    # unbuffered: what the muxer has let go is with the system, whatever happens to this process
    place = {"location": str(Path(target).absolute()), "buffer-mode": "unbuffered", "sync": "false"}
    return (
        element("h264parse")
        >> with_properties(_MUXERS[ending], muxer)
        >> with_properties("filesink", place)
    )


def _scheme(target: str) -> str:
    """Of an address; empty for a file."""
    try:
        return urlsplit(target).scheme if "://" in target else ""
    except ValueError as e:
        raise OutputError(f"{without_password(target)}: is no address", got=str(e)) from e


def _transport_stream(target: str) -> PipelineText:
    """MPEG-TS over UDP: a player needs no description of it."""
    parts = urlsplit(target)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise OutputError(without_password(target), expected="udp://HOST:PORT")
    return (
        element("h264parse", config_interval=-1)
        >> element("mpegtsmux", alignment=_TS_PACKETS)
        >> element("udpsink", host=host, port=port, sync="false")
    )


def _nvv4l2(elements: AbstractSet[str], key_frames: int, bits: int) -> PipelineText:
    encoder = element(
        "nvv4l2h264enc", bitrate=bits, iframeinterval=key_frames, idrinterval=key_frames,
        insert_sps_pps="true",
    )  # fmt: skip
    converter = element(nvidia_converter(elements))
    return _raw("BGRx") >> converter >> caps("video/x-raw(memory:NVMM),format=NV12") >> encoder


def _nvenc(name: str) -> Callable[[AbstractSet[str], int, int], PipelineText]:
    def build(elements: AbstractSet[str], key_frames: int, bits: int) -> PipelineText:
        return _raw("NV12") >> element(name, gop_size=key_frames, rc_mode="constqp", qp_const=23)

    return build


def _va(elements: AbstractSet[str], key_frames: int, bits: int) -> PipelineText:
    return _raw("NV12") >> element(
        "vah264enc", key_int_max=key_frames, rate_control="cqp", b_frames=0
    )


def _x264(elements: AbstractSet[str], key_frames: int, bits: int) -> PipelineText:
    return _raw("I420") >> element(
        "x264enc", speed_preset="veryfast", tune="zerolatency", key_int_max=key_frames,
        **{"pass": "qual"}, quantizer=24,
    )  # fmt: skip


def _openh264(elements: AbstractSet[str], key_frames: int, bits: int) -> PipelineText:
    return _raw("I420") >> element("openh264enc", gop_size=key_frames, bitrate=bits)


def _raw(pixels: str) -> PipelineText:
    colours = "" if pixels == "BGRx" else f",{_BT709}"
    return element("videoconvert", n_threads=2) >> caps(f"video/x-raw,format={pixels}{colours}")


# the best first
ENCODERS: Final[dict[str, Callable[[AbstractSet[str], int, int], PipelineText]]] = {
    "nvv4l2h264enc": _nvv4l2,
    "nvh264enc": _nvenc("nvh264enc"),
    "nvautogpuh264enc": _nvenc("nvautogpuh264enc"),
    "vah264enc": _va,
    "x264enc": _x264,
    "openh264enc": _openh264,
}
