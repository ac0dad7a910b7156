"""Sources whose frames a GPU decoded ahead of time: what is left is the engine and the host.

A module of its own, because workers look it up by its name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from posert import jobs
from posert.running import OneProcess
from posert.runtime.sources.nvcodec import NvcodecFile
from posert.runtime.sources.source import Reading, Span
from posert.types import DevicePicture, Frame, SourceInfo

PICTURES = 128  # of the clip, kept on the device and handed out again and again
_opening = threading.Lock()


class AheadSource:
    """``span.max_frames`` frames of pictures that are there already."""

    skipped = dropped = 0
    health = None

    def __init__(self, path: Path) -> None:
        with _opening:
            info, self._pictures = _decoded(path.stat().st_ino, path)
        self.info = replace(info, name=str(path))

    def frames(self, span: Span) -> Iterator[Frame]:
        for i in range(span.max_frames or PICTURES):
            yield Frame(self._pictures[i % PICTURES], i, i, i / float(self.info.rate))

    def close(self) -> None:
        return


@lru_cache
def _decoded(_file: int, path: Path) -> tuple[SourceInfo, list[DevicePicture]]:
    """The first pictures of a file, whatever its name: all links to it share them."""
    source = NvcodecFile(path)
    frames = islice(source.frames(Span()), PICTURES)
    pictures = [f.picture for f in frames if not hasattr(f.picture, "shape")]
    assert len(pictures) == PICTURES, f"{path} is not decoded on the device"
    return source.info, pictures


def open_ahead(text: str, reading: Reading, stop: threading.Event | None = None) -> AheadSource:
    return AheadSource(Path(text))


class Ahead(OneProcess):
    """The sources of one process, decoded ahead."""

    def run(self, *args: object, **kwargs: object) -> None:
        vars(jobs)["open_source"] = open_ahead
        super().run(*args, **kwargs)  # type: ignore[arg-type]
