"""``--processes``: real workers around a real engine, and what becomes of their files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import av
import pytest
from making.children import children
from making.clips import clip, read
from making.command import COMMAND, PATIENCE_S, Command, ended, start
from making.networks import read_lines

import posert as library
from posert.errors import ConfigError, EngineError
from posert.report import Report
from posert.runtime.stream import Tally

pytestmark = pytest.mark.slow

# Asked to stop, or killed, at its first news.
AT_NEWS = """
import os, posert.cli.progress as progress
update, done = progress.Progress.update, []
def watched(self, tally):
    update(self, tally)
    if tally.frames and not done:
        done.append(os.kill(os.getpid(), {signal}))
progress.Progress.update = watched
"""


LONG = 30_000  # frames of a clip that is far from its end whenever a run is stopped


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two clips of 12 s."""
    folder = tmp_path_factory.mktemp("pair")
    return [clip(folder / f"{name}.mp4", 300) for name in ("one", "two")]


@pytest.fixture(scope="session")
def long_pair(pair: list[Path]) -> list[Path]:
    """Two clips of ``LONG`` frames: those of a short one over and over."""
    first, second = (path.with_name(f"long-{path.name}") for path in pair)
    with av.open(str(first), "w") as made:
        stream = None
        for turn in range(LONG // 300):
            with av.open(str(pair[0])) as given:
                video = given.streams.video[0]
                stream = stream or made.add_stream_from_template(video)
                for packet in given.demux(video):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts += turn * (video.duration or 0)
                        packet.dts += turn * (video.duration or 0)
                        packet.stream = stream
                        made.mux(packet)
    shutil.copyfile(first, second)
    return [first, second]


def workers_of_this_process() -> list[int]:
    """Process ids of its workers, started by any of its threads."""
    return children("posert.workers")


def frames_of(lines: list[dict[str, object]], source: Path) -> list[object]:
    return [line["frame"] for line in lines if line["source"] == str(source)]


def run(pair: list[Path], dots: Path, folder: Path, processes: int) -> Report:
    return library.run(
        pair, folder / "out", jsonl=folder / "o.jsonl", csv=folder / "o.csv",
        coco=folder / "o.json", openpose_json=folder / "people", model=str(dots),
        processes=processes, max_frames=20,
    )  # fmt: skip


def test_processes_make_what_one_process_makes(
    tmp_path: Path, pair: list[Path], dots: Path
) -> None:
    one, two = (run(pair, dots, tmp_path / str(n), n) for n in (1, 2))
    assert "2 processes" in two.engine
    assert one.exit_code == two.exit_code == 0
    assert [(t.frames, t.people, t.followed) for t in one.sources] == [
        (t.frames, t.people, t.followed) for t in two.sources
    ]
    lines = [read_lines(tmp_path / str(n) / "o.jsonl") for n in (1, 2)]
    for source in pair:
        of_source = [[line for line in each if line["source"] == str(source)] for each in lines]
        assert of_source[0] == of_source[1]
        assert frames_of(lines[1], source) == list(range(20))
    rows = [sorted((tmp_path / str(n) / "o.csv").read_text().splitlines()) for n in (1, 2)]
    assert rows[0] == rows[1]
    entries = [json.loads((tmp_path / str(n) / "o.json").read_text()) for n in (1, 2)]
    assert len(entries[0]) == len(entries[1])
    assert sorted({entry["image_id"] for entry in entries[1]}) == list(range(40))
    files = [sorted(p.name for p in (tmp_path / str(n) / "people").iterdir()) for n in (1, 2)]
    assert files[0] == files[1]
    assert [len(read(path)) for t in two.sources for path in t.outputs] == [20, 20]


def test_a_killed_worker_costs_its_own_sources(
    tmp_path: Path, pair: list[Path], long_pair: list[Path], dots: Path
) -> None:
    cut_short, whole = str(long_pair[0]), str(pair[0])
    killed: list[int] = []

    def on_frame(tally: Tally) -> None:
        if tally.source == cut_short and not killed:
            for pid in workers_of_this_process():
                names = Path(f"/proc/{pid}/fd").iterdir()
                if cut_short in {str(name.readlink()) for name in names if name.is_symlink()}:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    report = library.run(
        [cut_short, whole], jsonl=tmp_path / "o.jsonl", model=str(dots), processes=2,
        on_frame=on_frame,
    )  # fmt: skip
    assert report.exit_code == 7
    bad, good = report.sources
    assert isinstance(bad.error, EngineError)
    assert "was killed by SIGKILL" in str(bad.error)
    assert good.error is None
    assert good.frames == 300
    lines = read_lines(tmp_path / "o.jsonl")
    assert frames_of(lines, pair[0]) == list(range(300))
    left = frames_of(lines, long_pair[0])
    assert left == list(range(len(left)))
    assert len(left) < LONG


def test_a_stop_completes_the_files_of_all(
    tmp_path: Path, long_pair: list[Path], dots: Path
) -> None:
    stop = threading.Event()
    report = library.run(
        long_pair, tmp_path / "out", jsonl=tmp_path / "o.jsonl", model=str(dots), processes=2,
        stop=stop, on_frame=lambda tally: stop.set(),
    )  # fmt: skip
    assert report.stopped
    assert report.exit_code == 0
    lines = read_lines(tmp_path / "o.jsonl")
    for tally, source in zip(report.sources, long_pair, strict=True):
        assert tally.error is None
        assert tally.frames < LONG
        assert frames_of(lines, source) == list(range(tally.frames))
        assert [len(read(path)) for path in tally.outputs if tally.frames] in ([tally.frames], [])
    assert workers_of_this_process() == []


def test_ctrl_c_completes_the_files_of_all(
    tmp_path: Path, long_pair: list[Path], dots: Path
) -> None:
    options: list[str | Path] = ["--model", dots, "--processes", "2", "-o", tmp_path]
    options += ["--jsonl", tmp_path / "o.jsonl"]
    before = AT_NEWS.format(signal=int(signal.SIGINT))
    outcome = ended(start("run", *long_pair, *options, before=before))
    assert outcome.code == 130, outcome.err
    assert "Traceback" not in outcome.err
    lines = read_lines(tmp_path / "o.jsonl")
    assert f"stopped: {len(lines)} frames" in outcome.err
    videos = [path for path in sorted(tmp_path.glob("*.mp4")) if path.stat().st_size]
    assert sum(len(read(path)) for path in videos) == len(lines) < 2 * LONG


def test_workers_of_a_killed_run_end_and_complete_their_files(
    tmp_path: Path, long_pair: list[Path], dots: Path
) -> None:
    options: list[str | Path] = ["--model", dots, "--processes", "2", "-o", tmp_path]
    before = AT_NEWS.format(signal=int(signal.SIGKILL))
    process = start("run", *long_pair, *options, before=before)
    _, err = process.communicate(timeout=PATIENCE_S)  # ends when the last worker lets go of stderr
    assert process.returncode == -signal.SIGKILL, err
    assert "Traceback" not in err
    assert any(0 < len(read(path)) < LONG for path in tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("closed", [(0, 1), (0, 1, 2)])
def test_a_run_without_standard_files_has_its_workers(
    tmp_path: Path, pair: list[Path], dots: Path, closed: tuple[int, ...]
) -> None:
    """As daemons and cron start programs: what it opens is then given these descriptors."""
    line = f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}'
    options: list[str | Path] = ["--jsonl", tmp_path / "o.jsonl", "--model", dots]
    options += ["--processes", "2", "--max-frames", "5"]
    command: list[str | Path] = [*COMMAND, "run", "-q", *pair, *options]
    done = subprocess.run(["sh", "-c", line, "sh", *command], timeout=PATIENCE_S, check=False)
    assert done.returncode == 0
    lines = read_lines(tmp_path / "o.jsonl")
    assert [frames_of(lines, source) for source in pair] == [list(range(5))] * 2


def test_a_script_of_the_users_is_run_once(tmp_path: Path, pair: list[Path], dots: Path) -> None:
    """Without ``if __name__ == "__main__"``, which multiprocessing would ask for."""
    script = tmp_path / "script.py"
    script.write_text(
        "import posert\nprint('begun')\n"
        f"print(posert.run({[str(p) for p in pair]}, jsonl={str(tmp_path / 'o.jsonl')!r}, "
        f"model={str(dots)!r}, processes=2, max_frames=5).frames)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["begun", "10"], done.stderr


def test_a_worker_that_is_gone_leaves_no_process(
    tmp_path: Path, pair: list[Path], dots: Path
) -> None:
    before = set(workers_of_this_process())
    run(pair, dots, tmp_path, 2)
    deadline = time.monotonic() + 5
    while set(workers_of_this_process()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(workers_of_this_process()) <= before


def test_what_one_process_must_make_is_refused_in_several(
    tmp_path: Path, pair: list[Path], dots: Path
) -> None:
    asked: list[dict[str, Any]] = [
        {"contact_sheet": tmp_path / "s.png"},
        {"tile": tmp_path / "wall.mp4"},
    ]
    for given in asked:
        with pytest.raises(ConfigError, match=r"processes is 2: got .* one process makes"):
            library.run(pair, model=str(dots), processes=2, **given)


def test_a_gpu_that_is_not_here_is_refused(
    posert: Command, tmp_path: Path, walk: Path, dots: Path
) -> None:
    outcome = posert("run", walk, "--model", dots, "--gpus", "63", "--jsonl", tmp_path / "o.jsonl")
    assert outcome.code == 6
    assert "there is no GPU 63" in outcome.refusal()


def test_a_model_that_is_not_there_is_one_line(
    posert: Command, tmp_path: Path, pair: list[Path]
) -> None:
    outcome = posert(
        "run", *pair, "--model", "pose-smal", "--processes", "2", "--jsonl", tmp_path / "o.jsonl"
    )
    assert outcome.code == 4
    assert "pose-small" in outcome.refusal()
