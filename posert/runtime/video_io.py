"""Which library decodes a source: the choices of ``--io``, and what works here."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from posert.errors import ConfigError, nearest
from posert.gpu import why_no_gpu
from posert.runtime.elements import available, missing, opencv_has_gstreamer, why_no_gstreamer
from posert.runtime.pipelines.decoding import CODECS, choose_decoder, has_hardware
from posert.runtime.pipelines.reading import DEMUXERS
from posert.runtime.pipelines.writing import ENCODERS, needed

log = logging.getLogger(__name__)

VideoIO: TypeAlias = Literal["auto", "ffmpeg", "gstreamer", "nvcodec"]
Library: TypeAlias = Literal["ffmpeg", "gstreamer", "nvcodec"]
Kind: TypeAlias = Literal["file", "rtsp", "http", "udp", "stream", "v4l2", "csi", "gst"]

LIBRARIES: Final[tuple[Library, ...]] = ("nvcodec", "gstreamer", "ffmpeg")
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
FFMPEG_ENCODERS: Final = ("libx264", "h264_nvenc")
_ONLY_GSTREAMER: Final = frozenset({"csi", "gst"})
_NVCODEC_READS: Final = frozenset({"file"})
# beside the decoder; what one of several formats needs is looked at when its format is known
_NEEDED: Final[dict[Kind, list[str]]] = {
    "file": ["filesrc", "videoconvert", "appsink"],
    "rtsp": ["rtspsrc", "decodebin", "videoconvert", "appsink"],
    "http": ["souphttpsrc", "decodebin", "videoconvert", "appsink"],
    "v4l2": ["v4l2src", "videoconvert", "appsink"],
    "csi": ["nvarguscamerasrc", "videoconvert", "appsink"],
    "gst": ["decodebin", "videoconvert", "appsink"],
}
_ADVICE: Final = "; posert doctor tells what works here"


def choose(
    io: VideoIO, kind: Kind, *, path: Path | None = None, on_device: bool = False
) -> Library:
    """The library that reads inputs of ``kind``; ``path`` is the file, where it is one.

    Raises:
        ConfigError: the one that is wished does not work here, or none does.
    """
    if io != "auto":
        if why := why_not(io, kind, path):
            raise ConfigError(f"--io {io} does not work for {kind} here: {why}{_ADVICE}")
        log.info("%s: read by %s, as wished", kind, io)
        return io
    chosen, reasons = _best(kind, path, on_device)
    if chosen is None:
        raise ConfigError(f"nothing here reads {kind}: {'; '.join(dict.fromkeys(reasons))}")
    _tell(kind, chosen, "; ".join(reasons))
    return chosen


def why_not(io: Library, kind: Kind, path: Path | None = None) -> str | None:
    """Why ``io`` does not read inputs of ``kind`` here; None: it does."""
    if io == "ffmpeg":
        return f"FFmpeg cannot read {kind}" if kind in _ONLY_GSTREAMER else None
    if io == "gstreamer":
        return why_no_gst() or _gst_lacks(kind) or (_gst_file_lacks(path) if path else None)
    return _why_no_nvcodec(kind)


def why_not_others(taken: Library, kind: Kind) -> dict[Library, str]:
    """What speaks against the libraries that are not ``taken`` for ``kind`` by ``auto``."""
    reasons: dict[Library, str] = {}
    for library in LIBRARIES:
        why = why_not(library, kind)
        if why is None and library == "gstreamer":
            why = _no_hardware(kind, None)
        if library != taken:
            reasons[library] = why or "works too (--io)"
    return reasons


def why_no_gst() -> str | None:
    """Why OpenCV's GStreamer does not work here; None: it does."""
    if not opencv_has_gstreamer():
        return "this OpenCV is built without GStreamer (those from pip are)"
    return why_no_gstreamer()


def choose_gst_encoder(wanted: str, target: str) -> str:
    """The GStreamer encoder for ``target``: ``wanted``, or for ``auto`` the best there is.

    Raises:
        ConfigError: it is unknown, or it or what it takes is not installed.
    """
    if wanted in FFMPEG_ENCODERS:
        what = f"encoder {wanted} is FFmpeg's, which sends nothing to {_ending(target)} addresses"
        raise ConfigError(what, expected=f"auto or one of {list(ENCODERS)}")
    if wanted not in ("auto", *ENCODERS):
        known = ["auto", *FFMPEG_ENCODERS, *ENCODERS]
        raise ConfigError(f"encoder{nearest(wanted, known)}", got=wanted, expected=known)
    if why := why_no_gst():
        raise ConfigError(f"no GStreamer encoder for {_ending(target)} here: {why}")
    reasons = []
    for name in ENCODERS if wanted == "auto" else [wanted]:
        if (why := why_no_encoder(name, target)) is None:
            return name
        reasons.append(f"{name}: {why}")
    raise ConfigError(f"no GStreamer encoder for {_ending(target)} here ({'; '.join(reasons)})")


def why_no_encoder(name: str, target: str = "x.mp4") -> str | None:
    """Why GStreamer's encoder ``name`` does not write ``target`` here; None: it does."""
    if why := why_no_gst():
        return why
    return missing(needed(target, name, available()))


def _ending(target: str) -> str:
    return target.partition("://")[0] if "://" in target else Path(target).suffix


def _best(kind: Kind, path: Path | None, on_device: bool) -> tuple[Library | None, list[str]]:
    """The first that works, and why not those before it."""
    reasons: list[str] = []
    steps: list[tuple[Library, Callable[[], str | None]]] = [
        ("nvcodec", lambda: why_not("nvcodec", kind) or _not_on_device(on_device)),
        ("gstreamer", lambda: why_not("gstreamer", kind, path) or _no_hardware(kind, path)),
        ("ffmpeg", lambda: why_not("ffmpeg", kind)),
        ("gstreamer", lambda: why_not("gstreamer", kind, path)),
    ]
    for library, look in steps:
        if (why := look()) is None:
            return library, reasons
        reasons.append(f"{library}: {why}")
    return None, reasons


def _not_on_device(on_device: bool) -> str | None:
    return None if on_device else "the engine takes its pictures from host memory"


def _no_hardware(kind: Kind, path: Path | None) -> str | None:
    if kind in _ONLY_GSTREAMER:
        return None
    codec = "mjpeg" if kind == "v4l2" else "h264"
    if path is not None:
        codec = probe(path)[1] or codec
    return None if has_hardware(codec, available()) else f"it has no hardware to decode {codec}"


def _gst_lacks(kind: Kind) -> str | None:
    if kind not in _NEEDED:
        return "it is not used for this kind of address"
    return missing(_NEEDED[kind])


def _gst_file_lacks(path: Path) -> str | None:
    container, codec = probe(path)
    if container is None:
        return None  # no video: whoever opens it says so
    if container not in DEMUXERS or codec not in CODECS:
        return f"it is not used for {codec} in {container}"
    demuxer = DEMUXERS[container]
    try:
        choose_decoder(codec, available())
    except ConfigError:
        return missing(CODECS[codec].software[:1])
    return missing([demuxer] if demuxer else [])


@lru_cache(maxsize=8)
def probe(path: Path) -> tuple[str | None, str | None]:
    """FFmpeg's names of a file's container and video codec; None, None: no video."""
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                return None, None
            context = container.streams.video[0].codec_context
            return container.format.name, context.codec.canonical_name
    except (av.error.FFmpegError, OSError):
        return None, None


def _why_no_nvcodec(kind: Kind) -> str | None:
    if kind not in _NVCODEC_READS:
        return f"it does not read {kind}"
    if why := why_no_gpu():
        return why
    if find_spec("PyNvVideoCodec") is None:
        return "no Python module PyNvVideoCodec (pip install 'posert[gpu]')"
    for library in ("libnvcuvid.so.1", "libnvidia-encode.so.1"):
        try:
            ctypes.CDLL(library)
        except OSError:
            return f"the driver's {library} is not here (in containers: NVIDIA_DRIVER_CAPABILITIES)"
    return None


@lru_cache
def _tell(kind: Kind, chosen: Library, why_not_others: str) -> None:
    """Once for each choice, not for each of a thousand files."""
    others = f" (not {why_not_others})" if why_not_others else ""
    log.info("%s: read by %s%s", kind, chosen, others)
