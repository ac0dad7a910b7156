"""The sinks a run asks for, by its settings; each adapter is imported when it is used."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2

from posert.errors import ConfigError, OutputError
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink, Format, ImageWriter, Sink, unwritable
from posert.types import Frame, Image, SourceInfo

if TYPE_CHECKING:
    from posert.runtime.sinks.segments import OpenVideo

log = logging.getLogger(__name__)

MakeFormat: TypeAlias = Callable[[Topology], Format[Any]]

_JETSON: Final = "nvv4l2h264enc"
_ADDRESS: Final = re.compile(r"([a-z]+):/{1,2}(.+)")  # a Path has lost one of the two slashes


def data_sinks(topology: Topology, **paths: Path | None) -> list[Sink]:
    """The sinks of people as data, open: ``paths`` of jsonl, csv, coco and openpose_json.

    Raises:
        OutputError: one cannot be created.
        ConfigError: a format needs keypoints that the topology lacks.
    """
    return [*data_files(topology, **paths)]


def data_files(topology: Topology, **paths: Path | None) -> list[DataSink[Any]]:
    """The same, to which other processes may send what ``data_formats`` made there."""
    return [
        kind(path, topology) for name, (kind, _) in _kinds().items() if (path := paths.get(name))
    ]


def data_formats(topology: Topology, **paths: Path | None) -> list[Format[Any]]:
    """The formats of what ``data_files`` opens, in the same order.

    Raises:
        ConfigError: one needs keypoints that the topology lacks.
    """
    return [make(topology) for name, (_, make) in _kinds().items() if paths.get(name)]


def _kinds() -> dict[str, tuple[Callable[[Path, Topology], DataSink[Any]], MakeFormat]]:
    from posert.runtime.sinks.coco import CocoEntries, CocoResults
    from posert.runtime.sinks.csv_table import CsvRows, CsvTable
    from posert.runtime.sinks.jsonl import JsonLines, JsonLinesFormat
    from posert.runtime.sinks.openpose import OpenPoseFolder, OpenPosePeople

    return {
        "jsonl": (JsonLines, JsonLinesFormat),
        "csv": (CsvTable, CsvRows),
        "coco": (CocoResults, CocoEntries),
        "openpose_json": (OpenPoseFolder, OpenPosePeople),
    }


def picture_writer(path: Path) -> Callable[[Image, Frame], None]:
    """Writes a drawn picture to ``path``, in the format of its ending."""

    def write(image: Image, frame: Frame) -> None:
        write_picture(path, image)

    return write


def write_picture(path: Path, image: Image) -> None:
    """Writes ``image`` (H, W, 3) uint8 BGR.

    Raises:
        OutputError: the ending is no picture format OpenCV writes, or the place is not writable.
    """
    try:
        ok, data = cv2.imencode(path.suffix or ".png", image)
    except cv2.error as e:
        raise OutputError(f"{path}", got=path.suffix, expected=".png, .jpg or .webp") from e
    if not ok:
        raise OutputError(f"{path}", got=path.suffix or "no ending", expected=".png, .jpg or .webp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as e:
        raise unwritable(path, e) from e


def video_writer(
    target: Path | str, info: SourceInfo, encoder: str = "auto", segment_s: float | None = None
) -> ImageWriter:
    """Opens a video of ``info``'s size and rate, or one each ``segment_s`` seconds.

    ``target`` is a file, or an address that GStreamer sends to (``stream_address``).

    Raises:
        OutputError: it cannot be created, or the encoder does not work here.
        ConfigError: an address is to be cut into files.
    """
    from posert.runtime.sinks.segments import OneFile, Segments

    address = stream_address(target)
    if address is not None and segment_s is not None:
        raise ConfigError("segment: an address is no file", fix="leave out --segment")
    open_video = _opener(address, _for_jetson(encoder, info))
    path = Path(target)
    if segment_s is not None:
        return Segments(path, info, segment_s, open_video)
    return OneFile(path, open_video(path, info))


def stream_address(target: Path | str) -> str | None:
    """The address, as ``rtsp://host/name``, that ``target`` is; None where it is a file."""
    match = _ADDRESS.fullmatch(str(target))
    return f"{match[1]}://{match[2]}" if match else None


def _for_jetson(encoder: str, info: SourceInfo) -> str:
    """``auto`` is Jetson's own encoder where there is one; FFmpeg keeps what has sound."""
    from posert.runtime.sinks.video import works
    from posert.runtime.video_io import why_no_encoder

    if encoder != "auto" or works("h264_nvenc") or why_no_encoder(_JETSON) is not None:
        return encoder
    if info.audio is not None:
        log.info("%s: GStreamer would lose its sound, so FFmpeg encodes: libx264", info.name)
        return encoder
    log.info("%s: encoded by %s", info.name, _JETSON)
    return _JETSON


def _opener(address: str | None, encoder: str) -> OpenVideo:
    """What opens a video: FFmpeg, or GStreamer for its encoders and for addresses."""
    from posert.runtime.sinks.video import ENCODERS, VideoWriter, choose_encoder

    gstreamer = address is not None or encoder not in ("auto", *ENCODERS)
    if not gstreamer:
        choose_encoder(encoder)  # refused before there is a frame
        return lambda path, info: VideoWriter(path, info, encoder)
    from posert.runtime.sinks.gstreamer import GstWriter

    return lambda path, info: GstWriter(address or str(path), info, encoder)
