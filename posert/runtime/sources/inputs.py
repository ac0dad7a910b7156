"""What the user names - files, folders, globs, cameras, URLs - into sources."""

from __future__ import annotations

import glob
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from posert.errors import AccessDenied, InputError
from posert.runtime.sources.addresses import is_address, kind_of, url_path, without_password
from posert.runtime.sources.probe import until_stopped
from posert.runtime.sources.readable import check_readable
from posert.runtime.sources.source import DEFAULT, Capture, Reading, Source
from posert.runtime.video_io import Kind, Library, choose

log = logging.getLogger(__name__)

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".flv", ".wmv"}
    | {".mpg", ".mpeg", ".3gp", ".ogv", ".264", ".h264", ".265", ".hevc", ".gif"}
)


def expand(inputs: list[str]) -> list[str]:
    """Every single source named: folders and globs are replaced by the files in them, sorted.

    What holds or matches nothing, or cannot be read, stays as it is, for ``open_source`` to
    refuse: one bad input does not stop the others.
    """
    found: list[str] = []
    for text in inputs:
        if is_address(text) or os.path.isfile(text):
            found.append(text)
        elif os.path.isdir(text):
            found += _in_folder(text) or [text]
        else:
            found += sorted(filter(os.path.isfile, glob.glob(text, recursive=True))) or [text]
    return found


def open_source(
    text: str, reading: Reading = DEFAULT, stop: threading.Event | None = None
) -> Source:
    """Opens one of the sources that ``expand`` names; ``stop`` ends the wait for a live one.

    Raises:
        InputError: it cannot be opened.
        ConfigError: the library wished for does not read it here.
    """
    kind = kind_of(text)
    if kind != "file":
        return _open_address(text, kind, reading, stop)
    if os.path.isdir(text):
        if not os.access(text, os.R_OK | os.X_OK):
            raise InputError(f"{text}: cannot be read: permission denied", fix="check its rights")
        what = "holds no picture or video"
        raise InputError(f"{text}: {what}", expected="files such as .mp4, .jpg")
    if glob.has_magic(text) and not os.path.exists(text):
        raise InputError(f"{text}: matches no file")
    return _open_file(Path(text), reading)


def is_picture(text: str) -> bool:
    """Whether the name ends like a picture's."""
    return Path(text).suffix.lower() in PICTURES


def _in_folder(folder: str) -> list[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    known = PICTURES | VIDEOS
    return [e.path for e in entries if Path(e.name).suffix.lower() in known and e.is_file()]


def _open_file(path: Path, reading: Reading) -> Source:
    if path.suffix.lower() in PICTURES:
        from posert.runtime.sources.pictures import Picture

        return Picture(path)
    check_readable(path)
    library = choose(reading.io, "file", path=path, on_device=reading.on_device)
    if library == "nvcodec":
        from posert.runtime.sources.nvcodec import NotOnDevice, NvcodecFile

        try:
            return NvcodecFile(path)
        except NotOnDevice as e:
            if reading.io == "nvcodec":
                raise
            log.info("%s; read by FFmpeg", e)
            library = "ffmpeg"
    if library == "gstreamer":
        from posert.runtime.sources.gstreamer import GstFile

        return GstFile(path)
    from posert.runtime.sources.video_file import VideoFile

    return VideoFile(path)


def _open_address(text: str, kind: Kind, reading: Reading, stop: threading.Event | None) -> Source:
    from posert.runtime.sources.live import LiveSource

    name = without_password(text)
    if kind != "gst":
        _check_address(text, name)
    if kind == "v4l2" and reading.give_up_s is None:  # else it is waited for, as a stream is
        from posert.runtime.sources.camera import check_camera

        check_camera(text)
    library = choose(reading.io, kind)
    if library == "ffmpeg" and kind == "http":
        return _open_http(text, name, reading, stop)
    capture = _capture(library, kind)
    return LiveSource(name, lambda: capture(text, reading), reading, stop)


def _check_address(text: str, name: str) -> None:
    """Once here, so that nothing that takes it apart needs to."""
    try:
        urlsplit(text)
    except ValueError as e:
        raise InputError(f"{name}: is no address", got=str(e)) from e


def _capture(library: Library, kind: Kind) -> Callable[[str, Reading], Capture]:
    """What opens one connection."""
    if library == "gstreamer":
        from posert.runtime.sources.gstreamer import GstCapture

        return GstCapture
    if kind == "v4l2":
        from posert.runtime.sources.camera import CameraCapture

        return CameraCapture
    from posert.runtime.sources.network import NetworkCapture

    return NetworkCapture


def _open_http(text: str, name: str, reading: Reading, stop: threading.Event | None) -> Source:
    """A file ends and waits, a stream does not: its first connection tells which it is."""
    from posert.runtime.sources.live import LiveSource
    from posert.runtime.sources.network import NetworkCapture
    from posert.runtime.sources.url_file import UrlFile

    def probe() -> NetworkCapture | UrlFile:
        capture = NetworkCapture(text, reading)
        return UrlFile(name, capture) if capture.finite else capture

    opened: list[Capture] = []
    try:
        first = until_stopped(probe, name, stop)
        if isinstance(first, UrlFile):
            return first
        opened.append(first)
    except AccessDenied:
        raise
    except InputError as e:
        if stop is not None and stop.is_set():
            raise
        if Path(url_path(text)).suffix.lower() in VIDEOS:
            raise  # a file that is not there; a stream may come yet
        log.info("%s", e)

    def connect() -> Capture:
        return opened.pop() if opened else NetworkCapture(text, reading)

    return LiveSource(name, connect, reading, stop)
