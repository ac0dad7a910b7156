"""Which elements decode a codec, and how their pictures come to host memory as BGR."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from posert.errors import ConfigError
from posert.runtime.pipelines.text import PipelineText, caps, element

Size: TypeAlias = tuple[int, int]  # width, height, pixels
Pixels: TypeAlias = Literal["BGR", "I420"]
Family: TypeAlias = Literal["v4l2", "nvcodec", "va", "software"]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec's parser and its decoders, the best first."""

    parser: str | None
    nvcodec: str | None
    va: str | None
    software: tuple[str, ...]
    v4l2: bool = True  # whether NVIDIA's V4L2 decoder takes it


@dataclass(frozen=True, slots=True)
class Decoder:
    """The element that decodes, and whose hardware it uses."""

    name: str
    family: Family


CODECS: Final = {
    "h264": Codec("h264parse", "nvh264dec", "vah264dec", ("avdec_h264", "openh264dec")),
    "hevc": Codec("h265parse", "nvh265dec", "vah265dec", ("avdec_h265", "libde265dec")),
    "av1": Codec("av1parse", "nvav1dec", "vaav1dec", ("dav1ddec", "av1dec", "avdec_av1")),
    "vp9": Codec("vp9parse", "nvvp9dec", "vavp9dec", ("vp9dec", "avdec_vp9")),
    "vp8": Codec(None, "nvvp8dec", "vavp8dec", ("vp8dec", "avdec_vp8")),
    "mpeg4": Codec("mpeg4videoparse", "nvmpeg4videodec", None, ("avdec_mpeg4",)),
    "mpeg2video": Codec("mpegvideoparse", "nvmpeg2videodec", "vampeg2dec", ("avdec_mpeg2video",)),
    "mjpeg": Codec("jpegparse", "nvjpegdec", "vajpegdec", ("jpegdec", "avdec_mjpeg")),
}
PREFERENCE: Final[tuple[Family, ...]] = ("v4l2", "nvcodec", "va", "software")
_V4L2: Final = "nvv4l2decoder"
_BGR: Final = "video/x-raw,format=BGR"


def choose_decoder(
    codec: str, elements: AbstractSet[str], families: tuple[Family, ...] = PREFERENCE
) -> Decoder:
    """The best decoder of ``codec`` among ``elements``.

    Raises:
        ConfigError: there is none.
    """
    wanted = _decoders(codec, families)
    for decoder in wanted:
        if decoder.name in elements:
            return decoder
    raise ConfigError(
        f"no GStreamer element here decodes {codec}",
        expected=f"one of {', '.join(d.name for d in wanted)}" if wanted else sorted(CODECS),
        fix="posert doctor names their packages; or use --io ffmpeg",
    )


def has_hardware(codec: str, elements: AbstractSet[str]) -> bool:
    """Whether a device decodes ``codec`` here."""
    return any(d.name in elements for d in _decoders(codec, ("v4l2", "nvcodec", "va")))


def all_decoders() -> list[str]:
    """Every decoder there is a use for, the best of each codec first."""
    return list(dict.fromkeys(d.name for codec in CODECS for d in _decoders(codec, PREFERENCE)))


def decode(
    codec: str,
    elements: AbstractSet[str],
    *,
    live: bool,
    size: Size | None,
    pixels: Pixels = "BGR",
) -> PipelineText:
    """Coded pictures in, pictures in host memory out, of ``size`` where one is given.

    They are ``pixels`` where the CPU decodes; a device makes them BGR.
    """
    decoder = choose_decoder(codec, elements)
    properties: dict[str, str | int] = {}
    if live and decoder.name.startswith("avdec_"):
        properties = {"max_threads": 1}  # threads over frames hold back a frame each
    if codec == "mjpeg" and decoder.family == "v4l2":
        properties = {"mjpeg": 1}
    parser = CODECS[codec].parser
    if pixels == "I420" and decoder.family == "software" and size is None:
        rest = element("videoconvert", n_threads=2) >> caps("video/x-raw,format=I420")
    else:
        rest = to_bgr(decoder.family, elements, size)
    chain = element(decoder.name, **properties) >> rest
    return element(parser) >> chain if parser and parser in elements else chain


def to_bgr(family: Family, elements: AbstractSet[str], size: Size | None) -> PipelineText:
    """From a decoder's memory to BGR in host memory; scaled by the hardware where it can."""
    scaled = "" if size is None else f",width={size[0]},height={size[1]}"
    bgrx = caps(f"video/x-raw,format=BGRx{scaled}")
    last = element("videoconvert", n_threads=2) >> caps(_BGR)
    if family == "v4l2":
        return element(nvidia_converter(elements)) >> bgrx >> last
    if family == "va" and "vapostproc" in elements:
        return element("vapostproc") >> bgrx >> last
    if family == "nvcodec" and {"cudaconvert", "cudadownload"} <= elements:
        return _from_cuda(scaled) >> last
    return to_bgr_in_software(size)


def to_bgr_in_software(size: Size | None = None) -> PipelineText:
    """From any raw picture to BGR, by the CPU."""
    last = element("videoconvert", n_threads=2) >> caps(_BGR)
    if size is None:
        return last
    return element("videoscale") >> caps(f"video/x-raw,width={size[0]},height={size[1]}") >> last


def nvidia_converter(elements: AbstractSet[str]) -> str:
    """Jetson's converter, or DeepStream's on x86."""
    on_jetson = "nvvidconv" in elements or "nvvideoconvert" not in elements
    return "nvvidconv" if on_jetson else "nvvideoconvert"


def _from_cuda(scaled: str) -> PipelineText:
    on_device = caps(f"video/x-raw(memory:CUDAMemory),format=BGRx{scaled}")
    scaler = element("cudascale") >> on_device if scaled else on_device
    return element("cudaconvert") >> scaler >> element("cudadownload")


def _decoders(codec: str, families: tuple[Family, ...]) -> list[Decoder]:
    known = CODECS.get(codec)
    if known is None:
        return []
    names: dict[Family, tuple[str | None, ...]] = {
        "v4l2": (_V4L2 if known.v4l2 else None,),
        "nvcodec": (known.nvcodec,),
        "va": (known.va,),
        "software": known.software,
    }
    return [Decoder(name, family) for family in families for name in names[family] if name]
