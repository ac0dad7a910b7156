"""The sinks a run asks for, by its settings; each adapter is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from posert.errors import OutputError
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import Sink, unwritable
from posert.types import Frame, Image, SourceInfo


def data_sinks(
    topology: Topology,
    *,
    jsonl: Path | None = None,
    csv: Path | None = None,
    coco: Path | None = None,
    openpose_json: Path | None = None,
) -> list[Sink]:
    """The sinks of people as data, open.

    Raises:
        OutputError: one cannot be created.
        ConfigError: a format needs keypoints that the topology lacks.
    """
    from posert.runtime.sinks.coco import CocoResults
    from posert.runtime.sinks.csv_table import CsvTable
    from posert.runtime.sinks.jsonl import JsonLines
    from posert.runtime.sinks.openpose import OpenPoseFolder

    kinds: list[tuple[Callable[[Path, Topology], Sink], Path | None]] = [
        (JsonLines, jsonl),
        (CsvTable, csv),
        (CocoResults, coco),
        (OpenPoseFolder, openpose_json),
    ]
    return [kind(path, topology) for kind, path in kinds if path is not None]


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
    path: Path, info: SourceInfo, encoder: str
) -> tuple[Callable[[Image, Frame], None], Callable[[], None]]:
    """Opens a video of ``info``'s size and rate; returns how to write to it and to close it."""
    from posert.runtime.sinks.video import VideoWriter

    video = VideoWriter(path, info, encoder)

    def write(image: Image, frame: Frame) -> None:
        video.write(image, frame.pts)

    return write, video.close
