"""The seam to results: what every sink of found people offers, and the text file behind most."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from posert.errors import OutputError
from posert.runtime.sinks.disk import DiskSync
from posert.types import Frame, Image, Result

Packed = TypeVar("Packed")
_Made = TypeVar("_Made", covariant=True)
_Taken = TypeVar("_Taken", contravariant=True)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR})


class Sink(Protocol):
    """Takes the results of all sources, one after the other, in order."""

    def write(self, results: Sequence[Result]) -> None:
        """Raises OutputError where they cannot be written; what is written stays."""
        ...

    def close(self) -> None:
        """Completes what is written; safe to call after an error."""
        ...


class Format(Protocol[_Made]):
    """Results as their file takes them: plain values, which other processes can be sent."""

    def pack(self, results: Sequence[Result]) -> _Made: ...


class DataFile(Protocol[_Taken]):
    """Takes what a format has made, of all sources, in order."""

    def write(self, packed: _Taken, /) -> object:
        """Raises OutputError where it cannot be written; what is written stays."""
        ...

    def close(self) -> None: ...


class DataSink(Generic[Packed]):
    """A sink of two halves: its format makes what its file takes.

    The first half may be done in other processes, which send what they made to ``add``.
    """

    def __init__(self, format_: Format[Packed], file: DataFile[Packed]) -> None:
        self._format = format_
        self._file = file

    def write(self, results: Sequence[Result]) -> None:
        self.add(self._format.pack(results))

    def add(self, packed: Packed) -> None:
        """Writes what the format has made, here or elsewhere."""
        self._file.write(packed)

    def close(self) -> None:
        self._file.close()


class ImageWriter(Protocol):
    """Takes the drawn frames of one source, in order, from one thread."""

    @property
    def paths(self) -> list[Path]:
        """The files written so far, the one under way included."""
        ...

    def write(self, image: Image, frame: Frame) -> None:
        """Adds ``image``, (H, W, 3) uint8 BGR; its size may differ from frame to frame.

        Raises:
            OutputError: it cannot be written; what is written stays and plays.
        """
        ...

    def close(self) -> None:
        """Completes what is written; safe to call after an error, in silence about the same.

        Raises:
            OutputError: it cannot be completed.
        """
        ...


class TextFile:
    """A text file on the disk with each text; ``-`` is stdout.

    What is written survives a kill, and but for the last second a power cut; a text that does not
    fit any more is left out whole. What was in the file before stays until there is a first text.

    Raises:
        OutputError: it cannot be created or written.
        BrokenPipeError: nobody reads stdout any more, as after ``| head``.
    """

    def __init__(self, path: Path, begin: str = "", end: str = "") -> None:
        """Opens it; ``begin`` comes before the first text, ``end`` behind the last."""
        self._path = path
        self._begin, self._end = begin, end
        self._begun = False
        self._failed = False  # told already
        self._disk: DiskSync | None = None
        self._file: FileIO | None = None  # None: stdout
        self._whole: int | None = 0  # bytes of whole texts; None: it cannot be cut
        if str(path) == "-":
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._kept = path.exists() and path.stat().st_size > 0
            self._disk = DiskSync(path)
            self._file = path.open("ab", buffering=0)
            if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._whole = None
        except OSError as e:
            raise unwritable(path, e) from e

    def write(self, text: str, /) -> int:
        try:
            if self._disk is not None:
                self._disk.check()
            self._put(text if self._begun else self._begin + text)
        except OSError as e:
            self._failed = True
            if self._file is None and isinstance(e, BrokenPipeError):
                raise
            raise unwritable(self._path, e) from e
        return len(text)

    def close(self) -> None:
        """Completes it; after an error that was told, in silence."""
        try:
            try:
                if self._begun:
                    self._put(self._end)
                elif self._file is None or not self._kept:
                    self._put(self._begin + self._end)
                if self._file is not None:
                    self._file.close()
            finally:
                if self._disk is not None:
                    self._disk.close()
        except OSError as e:
            if not self._failed:
                raise unwritable(self._path, e) from e

    def _put(self, text: str) -> None:
        """Raises OSError where all of it has no room; none of it is there then."""
        if self._file is None:
            self._begun = True
            sys.stdout.write(text)
            sys.stdout.flush()  # into a pipe it is not buffered by lines
            return
        if not self._begun and self._whole is not None:
            self._file.truncate(0)
        self._begun = True
        left = memoryview(text.encode("utf-8"))
        size = len(left)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            if self._whole is not None:
                self._file.truncate(self._whole)
            raise
        if self._whole is not None:
            self._whole += size


def unwritable(path: Path, error: Exception) -> OutputError:
    """What to tell of an OSError, or of an FFmpeg error, that kept ``path`` from being written."""
    reason = getattr(error, "strerror", None) or str(error)
    number = getattr(error, "errno", None)
    if number in _FULL:
        fix = "free some space"
    elif number in _NOT_ALLOWED:
        fix = "choose a place you may write to"
    elif number == errno.ESTALE:
        fix = "leave it in its place until the run ends"
    else:
        fix = "choose another place"
    return OutputError(f"{path}: cannot be written", got=reason, fix=fix)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes ``data`` to ``path``, readable by people too.

    Raises:
        OutputError: it cannot be written.
    """
    file = TextFile(path)
    file.write(json.dumps(data, indent=2) + "\n")
    file.close()
