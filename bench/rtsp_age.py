"""Age of an RTSP stream's frames when their JSON line is written, and how soon a lost one is back.

    python bench/rtsp_age.py [--io ffmpeg gstreamer] [--size 1280x720] [--json FILE]

A server on the loopback (tests/making/rtsp_server.py; it encodes with x264 on the same cores)
writes the time into each picture before it encodes it; it is read back from the frame whose JSON
line has just been written by `posert.run`. Then the server is killed, started again a second
later, and so on: what counts is the time from its being ready to the first JSON line of a picture
made since.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from making.rtsp import RtspServer, stamp_age_s

import posert
from posert.runtime.sinks.jsonl import JsonLines
from posert.runtime.video_io import why_not
from posert.types import Frame, Result

WARM = 30  # frames that do not count


@dataclass(frozen=True)
class Ages:
    """Medians, milliseconds, and what follows from them."""

    io: str
    size: str
    rate: int
    frames: int
    dropped: int
    engine: str
    glass_to_json_ms: float
    glass_to_json_p95_ms: float
    arrival_to_json_ms: float
    inference_ms: float  # engine and parser, of one frame
    intervals_beyond_inference: float  # at most 2 are wanted
    return_to_result_s: list[float]  # at most 2 are wanted


class Watch:
    """Looks at each frame once its line is written, and kills the server now and then."""

    def __init__(self, server: list[RtspServer], given: argparse.Namespace) -> None:
        self.ages: list[tuple[float, float]] = []  # since the picture was made, since it arrived
        self.returns: list[float] = []
        self.stop = threading.Event()
        self._server = server
        self._given = given
        self._ready_s: float | None = None
        self._restarting = False

    def written(self, frame: Frame) -> None:
        """A line is in the file."""
        now_s = time.monotonic()
        age_s = stamp_age_s(frame.image, now_s)
        if self._restarting:
            if self._ready_s is not None and now_s - age_s > self._ready_s:
                self.returns.append(now_s - self._ready_s)
                self._restarting = False
        elif len(self.ages) < self._given.frames:
            self.ages.append((age_s, now_s - frame.seen_s))
            return
        if not self._restarting:
            if len(self.returns) == self._given.returns:
                self.stop.set()
                return
            self._restarting, self._ready_s = True, None
            threading.Thread(target=self._restart).start()

    def _restart(self) -> None:
        self._server[0].kill()
        time.sleep(self._given.away)
        self._server[0] = start(self._given, self._server[0].port)
        self._ready_s = time.monotonic()


def start(given: argparse.Namespace, port: int | None = None) -> RtspServer:
    return RtspServer("--size", given.size, "--rate", str(given.rate), port=port)


def measure(io: str, given: argparse.Namespace) -> Ages:
    server = [start(given)]
    watch = Watch(server, given)
    write = JsonLines.write

    def watched(self: JsonLines, results: Sequence[Result]) -> None:
        write(self, results)
        for result in results:
            watch.written(result.frame)

    JsonLines.write = watched  # type: ignore[assignment, method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = posert.run(
                server[0].url, stop=watch.stop, io=io, model=given.model,
                jsonl=Path(folder) / "ages.jsonl",
            )  # fmt: skip
    finally:
        JsonLines.write = write  # type: ignore[method-assign]
        server[0].kill()
    if report.exit_code:
        raise SystemExit(str(report.sources[0].error))
    return summary(io, given, watch, report)


def summary(io: str, given: argparse.Namespace, watch: Watch, report: Any) -> Ages:
    ages = watch.ages[WARM:]
    glass = sorted(1e3 * age for age, _ in ages)
    stages = {stage.stage: stage.p50_ms for stage in report.stages}
    inference_ms = stages["engine"] + stages["parse"]
    median = statistics.median(glass)
    return Ages(
        io=io,
        size=given.size,
        rate=given.rate,
        frames=len(ages),
        dropped=report.sources[0].dropped,
        engine=report.engine,
        glass_to_json_ms=round(median, 1),
        glass_to_json_p95_ms=round(glass[len(glass) * 95 // 100], 1),
        arrival_to_json_ms=round(statistics.median(1e3 * age for _, age in ages), 1),
        inference_ms=round(inference_ms, 1),
        intervals_beyond_inference=round((median - inference_ms) * given.rate / 1e3, 2),
        return_to_result_s=[round(s, 2) for s in watch.returns],
    )


def main() -> None:
    """Print a block for each library; with --json write them too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--io", nargs="+", default=["ffmpeg", "gstreamer"])
    arguments.add_argument("--size", default="1280x720")
    arguments.add_argument("--rate", type=int, default=30)
    arguments.add_argument("--frames", type=int, default=WARM + 300)
    arguments.add_argument("--returns", type=int, default=10)
    arguments.add_argument("--away", type=float, default=1.0, help="seconds")
    arguments.add_argument("--model", default="pose-small")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    rows = []
    for io in given.io:
        if reason := why_not(io, "rtsp"):
            print(f"{io}: not here: {reason}")
            continue
        row = asdict(measure(io, given))
        rows.append(row)
        print("\n".join(f"{name:28} {value}" for name, value in row.items()), "\n")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
