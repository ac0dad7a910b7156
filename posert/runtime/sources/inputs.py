"""What the user names - files, folders, globs, cameras, URLs - into sources."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from posert.errors import InputError
from posert.runtime.sources.source import DEFAULT, Reading, Source

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
    from posert.runtime.sources.capture import is_address

    found: list[str] = []
    for text in inputs:
        if is_address(text) or os.path.isfile(text):
            found.append(text)
        elif os.path.isdir(text):
            found += _in_folder(text) or [text]
        else:
            found += sorted(filter(os.path.isfile, glob.glob(text, recursive=True))) or [text]
    return found


def open_source(text: str, reading: Reading = DEFAULT) -> Source:
    """Opens one of the sources that ``expand`` names.

    Raises:
        InputError: it cannot be opened.
    """
    from posert.runtime.sources.capture import Capture, is_address
    from posert.runtime.sources.pictures import Picture
    from posert.runtime.sources.video_file import VideoFile

    if is_address(text):
        return Capture(text)
    if os.path.isdir(text):
        readable = os.access(text, os.R_OK | os.X_OK)
        what = "holds no picture or video" if readable else "cannot be read: Permission denied"
        raise InputError(f"{text}: {what}", expected="files such as .mp4, .jpg")
    if glob.has_magic(text) and not os.path.exists(text):
        raise InputError(f"{text}: matches no file")
    path = Path(text)
    return Picture(path) if path.suffix.lower() in PICTURES else VideoFile(path)


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
