"""One source from frames to sinks. The only module that knows the order of the stages.

    source -> [decode] -> [engine + parse, several threads] -> [draw] -> sinks (encode, data)

Each bracket has threads of its own behind a bounded queue; order is kept throughout.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from posert.errors import PosertError
from posert.runtime.estimator import Estimator
from posert.runtime.flow import newest, ordered_map
from posert.runtime.sinks.sink import Sink
from posert.runtime.sources.source import Source, Span
from posert.types import Capped, Frame, Image, People, Result

log = logging.getLogger(__name__)

Draw = Callable[[Image, People], Image]  # a new picture; its input is left as it is
WriteImage = Callable[[Image, Frame], None]


@dataclass(slots=True)
class Tally:
    """What became of one source; grows while it runs."""

    source: str
    expected: int | None = None  # frames its header promises
    frames: int = 0  # processed and written
    people: int = 0  # found, over all frames
    skipped: int = 0  # damaged frames left out
    dropped: int = 0  # frames of a live source that came too fast
    capped: Capped = Capped()
    outputs: list[str] = field(default_factory=list)
    error: PosertError | None = None  # why it ended early


@dataclass(frozen=True, slots=True)
class Stages:
    """What happens to each frame."""

    estimate: Estimator
    draw: Draw | None  # None where nobody looks
    write_image: list[WriteImage]  # drawn frames: video, picture, contact sheet
    sinks: list[Sink]  # people as data


def process(
    source: Source,
    span: Span,
    stages: Stages,
    tally: Tally,
    stop: threading.Event,
    on_frame: Callable[[Tally], None],
) -> None:
    """Runs ``source`` to its end, or until ``stop`` is set, and counts in ``tally``.

    Raises:
        PosertError: a stage failed; all frames before it are written.
    """
    times, workers = stages.estimate.times, stages.estimate.engine.workers

    def estimate(frame: Frame) -> tuple[Frame, People]:
        return frame, stages.estimate(frame.image)

    def draw(found: tuple[Frame, People]) -> tuple[Frame, People, Image | None]:
        frame, people = found
        if stages.draw is None:
            return frame, people, None
        with times.measure("draw"):
            return frame, people, stages.draw(frame.image, people)

    frames = times.timed("decode", _frames(source, span, tally))
    found = ordered_map(
        estimate, frames, workers=workers, depth=workers + 6, name="estimate", stop=stop
    )
    drawn = ordered_map(draw, found, workers=1, depth=4, name="draw")
    try:
        for frame, people, image in drawn:
            if image is not None:
                with times.measure("encode"):
                    for write_image in stages.write_image:
                        write_image(image, frame)
            with times.measure("data"):
                for sink in stages.sinks:
                    sink.write(Result(source.info, frame, people))
            _count(tally, people)
            tally.skipped = source.skipped
            on_frame(tally)
    finally:
        drawn.close()  # type: ignore[attr-defined]  # a generator: ends its threads
        tally.skipped, tally.dropped = source.skipped, source.dropped + tally.dropped


def _frames(source: Source, span: Span, tally: Tally) -> Iterator[Frame]:
    """Files wait to be taken, live sources do not."""
    if not source.info.live:
        return source.frames(span)

    def count_dropped() -> None:
        tally.dropped += 1

    frames = source.frames(replace(span, max_frames=None))  # those passed over do not count
    return _first(newest(frames, count_dropped, name="source"), span.max_frames)


def _first(frames: Iterator[Frame], count: int | None) -> Iterator[Frame]:
    """The first ``count`` frames; the others are not waited for."""
    yield from islice(frames, count)


def _count(tally: Tally, people: People) -> None:
    tally.frames += 1
    tally.people += len(people)
    if people.capped and not tally.capped:
        log.warning(
            "%s: a cap was hit (%d peaks, %d people left out); it is counted from here on",
            tally.source, people.capped.peaks, people.capped.people,
        )  # fmt: skip
    tally.capped = tally.capped + people.capped
