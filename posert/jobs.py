"""A source as a job: how it is opened, its people followed and drawn, where its pictures go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from posert.errors import PosertError, first_line
from posert.postprocess.draw import Painter
from posert.postprocess.follow import Follower
from posert.postprocess.topology import Topology
from posert.runtime.outlet import WriteImage
from posert.runtime.sinks import picture_writer, video_writer
from posert.runtime.sinks.contact_sheet import ContactSheet
from posert.runtime.sinks.sink import ImageWriter
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Reading, Source
from posert.runtime.stream import Files, Job, Tally
from posert.runtime.wall import Tile, Wall
from posert.settings import RunSettings, SourceSettings


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """What the jobs of a run have in common."""

    settings: RunSettings
    topology: Topology
    reading: Reading
    stop: threading.Event
    sheet: ContactSheet | None = None
    wall: Wall | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One source of a run: what was asked for, what it comes to, and its own output."""

    number: int  # among the sources of the run
    source: SourceSettings
    tally: Tally
    output: Path | None
    open: Callable[[], Source] | None = None  # in place of what ``source`` names: a made-up one


def make_job(work: Work, shared: Shared) -> Job:
    """How the pipeline is to treat one source."""
    settings, tally = shared.settings, work.tally
    tile = shared.wall.tile(work.number) if shared.wall is not None else None

    def opened() -> Source:
        make = work.open or partial(open_source, work.source.input, shared.reading, shared.stop)
        source = make()
        tally.expected = settings.span.expected(source.info)
        return source

    def ended(error: PosertError | None) -> None:
        if tile is not None:
            tile.end(first_line(error) if error is not None else "")

    looked_at = work.output is not None or shared.sheet is not None or tile is not None
    return Job(
        tally,
        opened,
        _files(work, shared, tile) if looked_at else None,
        follow=_follow(work.source, shared),
        name=work.source.name,
        ended=ended,
    )


def _follow(source: SourceSettings, shared: Shared) -> Follower | None:
    settings = shared.settings.follow_settings(source)
    return Follower(shared.topology, settings) if settings is not None else None


def _files(work: Work, shared: Shared, tile: Tile | None) -> Callable[[Source], Files]:
    """What opens the files of a source that is open."""
    settings, tally, output = shared.settings, work.tally, work.output

    def files(source: Source) -> Files:
        info = source.info
        room = None
        if tile is not None:
            tile.begin(replace(info, rate=info.rate / settings.span.every))
            if output is None and shared.sheet is None:
                room = tile.room  # nobody else looks at the picture
        painter = Painter(shared.topology, settings.draw_style, room)
        writers: list[WriteImage] = [shared.sheet.write] if shared.sheet is not None else []
        close: Callable[[], None] = lambda: None  # noqa: E731
        if output is not None and info.still:
            tally.outputs = [output]
            writers.append(picture_writer(output))
        elif output is not None:
            video = video_writer(output, info, settings.encoder, settings.segment)
            writers.append(video.write)
            close = partial(_complete, video, tally)
        show = tile.show if tile is not None else None
        return Files(writers, close, painter.draw, show)

    return files


def _complete(video: ImageWriter, tally: Tally) -> None:
    """Completes a video, and tells which files it is."""
    try:
        video.close()
    finally:
        tally.outputs = video.paths
