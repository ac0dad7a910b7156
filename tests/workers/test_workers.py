"""Processes that share a run's sources: order, deaths, refusals, stops. No engine is needed."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from making import parts
from making.parts import FRAMES

from posert.errors import EngineError, ModelError, OutputError
from posert.postprocess.topology import Topology
from posert.runtime.sinks.sink import DataSink
from posert.runtime.stream import OnFrame, Tally
from posert.settings import RunSettings
from posert.workers.messages import Begin
from posert.workers.shares import Share
from posert.workers.workers import Workers

TOPOLOGY = Topology("two", ("left", "right"), (), ())


def shared(
    begin: Begin,
    sources: list[list[str]],
    *,
    stop: threading.Event | None = None,
    on_frame: OnFrame = lambda tally: None,
    **settings: Any,
) -> tuple[dict[str, Tally], Workers]:
    """What became of ``sources``, a list a process, and the workers as they ended."""
    tallies = [Tally(name) for each in sources for name in each]
    starts = [sum(map(len, sources[:i])) for i in range(len(sources))]
    shares = [
        Share(tuple(range(start, start + len(each))))
        for start, each in zip(starts, sources, strict=True)
    ]
    names = [name for each in sources for name in each]
    work = [(tally, tally) for tally in tallies]
    with Workers(begin, work, names, RunSettings(**settings), TOPOLOGY, shares) as workers:
        workers.run(stop or threading.Event(), on_frame, lambda: None)
    return {tally.source: tally for tally in tallies}, workers


def frames_in(path: Path) -> dict[str, list[int]]:
    """The numbers of each source's frames, in the order of the file."""
    found: dict[str, list[int]] = {}
    for line in map(json.loads, path.read_text("utf-8").splitlines()):
        found.setdefault(line["source"], []).append(line["frame"])
    return found


def test_each_sources_frames_are_in_order_in_one_file(tmp_path: Path) -> None:
    seen: list[Tally] = []
    tallies, workers = shared(
        parts.Counting, [["a", "b"], ["c"]], jsonl=tmp_path / "o.jsonl", on_frame=seen.append
    )
    assert frames_in(tmp_path / "o.jsonl") == {name: list(range(FRAMES)) for name in "abc"}
    assert {t.frames for t in tallies.values()} == {FRAMES}
    assert {t.state for t in tallies.values()} == {"ended"}
    assert seen
    assert {id(t) for t in seen} <= {id(t) for t in tallies.values()}
    (data,) = workers.times.summary()
    assert data.count == 3 * FRAMES
    assert workers.engine == "made up, 2 processes"


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (parts.Killed, "worker 1 was killed by SIGKILL"),
        (parts.Broken, "CUDA failed: an illegal memory access"),
        (parts.Faulty, "worker 1 ended with code 1"),
    ],
)
def test_a_worker_that_fails_costs_its_own_sources(
    tmp_path: Path, begin: Begin, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    tallies, _ = shared(begin, [["bad", "beside"], ["good"]], jsonl=tmp_path / "o.jsonl")
    for name in ("bad", "beside"):
        error = tallies[name].error
        assert isinstance(error, EngineError)
        assert str(error).startswith(f"{name}: {reason}")
        assert tallies[name].state == "failed"
    assert tallies["good"].error is None
    assert tallies["good"].frames == FRAMES
    found = frames_in(tmp_path / "o.jsonl")
    assert found["good"] == list(range(FRAMES))
    assert found["bad"] == list(range(FRAMES // 2))  # what was done before is kept
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert reason in line
    assert line.endswith("2 of its sources are cut short")


class OneLeft(parts.Counting):
    """Dies when all of its sources but the last have ended, one of them with a damaged frame."""

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]],
    ) -> None:
        for tally in self._work:
            tally.opened, tally.frames = True, FRAMES - 1
        damaged, unknown, _ = self._work
        damaged.expected, damaged.skipped, damaged.done = FRAMES, 1, True
        unknown.done = True
        alive()
        os.kill(os.getpid(), signal.SIGKILL)


def one_left(work: list[Tally], settings: RunSettings) -> parts.Counting:
    """The worker of the source ``cut`` dies."""
    dies = any(tally.source == "cut" for tally in work)
    return (OneLeft if dies else parts.Counting)(work, settings)


def test_sources_that_had_ended_are_not_cut_short_by_a_death(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tallies, _ = shared(one_left, [["damaged", "unknown", "cut"], ["good"]])
    assert {name: tally.state for name, tally in tallies.items()} == {
        "damaged": "ended", "unknown": "ended", "cut": "failed", "good": "ended"
    }  # fmt: skip
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert line.endswith("1 of its sources are cut short")


def test_when_all_fail_the_run_has(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="CUDA failed: an illegal memory access"):
        shared(parts.Broken, [["bad"], ["bad"]], jsonl=tmp_path / "o.jsonl")
    assert frames_in(tmp_path / "o.jsonl")["bad"]


def test_what_a_worker_is_refused_is_raised_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        shared(parts.refused, [["a"], ["b"]], jsonl=tmp_path / "o.jsonl")
    line = "no such model: got made up, expected another; see: posert models"
    assert str(refused.value) == line
    assert not (tmp_path / "o.jsonl").exists()


def test_workers_that_die_at_once_are_told_of() -> None:
    with pytest.raises(EngineError, match=r"worker [12] was killed by SIGSEGV"):
        shared(parts.dead, [["a"], ["b"]])


def test_a_stop_reaches_all_workers() -> None:
    stop = threading.Event()
    seen: set[str] = set()

    def on_frame(tally: Tally) -> None:
        seen.add(tally.source)
        if len(seen) == 2:
            stop.set()

    tallies, _ = shared(parts.Endless, [["a"], ["b"]], stop=stop, on_frame=on_frame)
    assert {tally.state for tally in tallies.values()} == {"ended"}


class Slow(parts.Endless):
    """Told to stop, it waits until there is a file beside that of the data."""

    def __init__(self, work: list[Tally], settings: RunSettings) -> None:
        super().__init__(work, settings)
        assert settings.jsonl is not None
        self._awaited = settings.jsonl.with_name("awaited")

    def run(
        self,
        stop: threading.Event,
        on_frame: OnFrame,
        alive: Callable[[], None],
        sinks: Sequence[DataSink[Any]],
    ) -> None:
        super().run(stop, on_frame, alive, sinks)
        give_up_s = time.monotonic() + 60
        while not self._awaited.exists() and time.monotonic() < give_up_s:
            time.sleep(0.01)


def test_a_worker_that_takes_long_to_stop_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("posert.workers.workers._STOPS_S", 0.1)
    stop = threading.Event()

    class Goes(logging.Handler):
        """The worker stops when it was told of, a while later."""

        def emit(self, record: logging.LogRecord) -> None:
            threading.Timer(0.5, (tmp_path / "awaited").touch).start()

    handler = Goes()
    logger = logging.getLogger("posert.workers.workers")
    logger.addHandler(handler)
    try:
        shared(
            Slow, [["a"]], stop=stop, on_frame=lambda tally: stop.set(),
            jsonl=tmp_path / "o.jsonl",
        )  # fmt: skip
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for worker 1; press Ctrl-C again to end at once"
    ]


def test_a_file_that_cannot_be_written_ends_the_run() -> None:
    with pytest.raises(OutputError, match="/dev/full: cannot be written"):
        shared(parts.Counting, [["a"], ["b"]], jsonl=Path("/dev/full"))


def test_what_workers_say_is_in_the_log_and_never_in_the_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    shared(parts.Talking, [["a"], ["b"]], jsonl=tmp_path / "o.jsonl")
    said = [record for record in caplog.records if record.name == "posert.made_up"]
    assert {record.getMessage() for record in said} == {"a is half-way", "b is half-way"}
    assert {record.levelname for record in said} == {"WARNING"}
    out, err = capfd.readouterr()
    assert out == ""
    assert "a library prints" in err
