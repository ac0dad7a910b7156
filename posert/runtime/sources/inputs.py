"""What the user names - files, folders, globs, cameras, URLs - into sources."""

from __future__ import annotations

import glob
from pathlib import Path

from posert.errors import InputError
from posert.runtime.sources.source import Source

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".flv", ".wmv"}
    | {".mpg", ".mpeg", ".3gp", ".ogv", ".264", ".h264", ".265", ".hevc", ".gif"}
)


def expand(inputs: list[str]) -> list[str]:
    """Every single source named: folders and globs are replaced by the files in them, sorted.

    Raises:
        InputError: a folder holds no picture or video, or a glob matches nothing.
    """
    from posert.runtime.sources.capture import is_address

    found: list[str] = []
    for text in inputs:
        path = Path(text)
        if is_address(text) or path.is_file():
            found.append(text)
        elif path.is_dir():
            found += _in_folder(path)
        elif glob.has_magic(text):
            matches = sorted(m for m in glob.glob(text, recursive=True) if Path(m).is_file())
            if not matches:
                raise InputError(f"{text}: matches no file")
            found += matches
        else:
            found.append(text)
    return found


def open_source(text: str) -> Source:
    """Opens one of the sources that ``expand`` names.

    Raises:
        InputError: it cannot be opened.
    """
    from posert.runtime.sources.capture import Capture, is_address
    from posert.runtime.sources.pictures import Picture
    from posert.runtime.sources.video_file import VideoFile

    if is_address(text):
        return Capture(text)
    path = Path(text)
    return Picture(path) if path.suffix.lower() in PICTURES else VideoFile(path)


def is_picture(text: str) -> bool:
    """Whether the name ends like a picture's."""
    return Path(text).suffix.lower() in PICTURES


def _in_folder(folder: Path) -> list[str]:
    known = PICTURES | VIDEOS
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in known and p.is_file())
    if not files:
        raise InputError(
            f"{folder}: holds no picture or video", expected="files such as .mp4, .jpg"
        )
    return [str(p) for p in files]
