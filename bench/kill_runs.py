"""SIGKILL at random moments: does every video play, and how much of it is missing?

    python bench/kill_runs.py --runs 50 --json bench/results/kill-runs.json

Each run is a process of its own that notes the time of every frame behind the writer's back, as
soon as the writer has taken it; what the file then lacks was taken and lost.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import av

_NOTES = """
import os
from posert.runtime.sinks.video import VideoWriter
notes = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
write = VideoWriter.write
def noted(self, image, pts):
    write(self, image, pts)
    os.write(notes, b"%s %.6f\\n" % (os.fsencode(self._path), pts * self._time_base))
    {pace}
VideoWriter.write = noted
from posert.cli import main
main()
"""
_KINDS = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class Killed:
    """What one kill left."""

    options: str
    after_s: float  # from the first frame to the kill
    written: int  # frames that the writer had taken
    kept: int  # frames that play
    missing_s: float  # video time from the last frame that plays to the last one taken
    data_lines: int  # frames in the JSONL
    plays: bool  # every file, frame by frame in order, none missing in between
    torn: bool  # the last fragment is incomplete, and left out by the player


def run_and_kill(clip: Path, folder: Path, options: list[str], after_s: float) -> Killed | None:
    """One run killed ``after_s`` after its first frame; None where it had ended before."""
    notes, data = folder / "notes", folder / "out.jsonl"
    command = ["run", clip, "--jsonl", data, "--quiet", *options]
    pace = "import time; time.sleep(0.02)"  # or a fast machine is through before the kill
    code = _NOTES.format(notes=str(notes), pace=pace)
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, command)])
    while process.poll() is None and not (notes.exists() and notes.stat().st_size):
        time.sleep(0.002)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        return None
    lines = notes.read_text(encoding="utf-8").splitlines()
    taken = [(name, float(time_s)) for name, _, time_s in (line.rpartition(" ") for line in lines)]
    kept, plays, torn = _kept(taken)
    return Killed(
        options=" ".join(option for option in options if not option.startswith("/")),
        after_s=round(after_s, 3),
        written=len(taken),
        kept=kept,
        missing_s=round(taken[-1][1] - (taken[kept - 1][1] if kept else taken[0][1]), 3),
        data_lines=len(data.read_text(encoding="utf-8").splitlines()),
        plays=plays,
        torn=torn,
    )


def _kept(taken: list[tuple[str, float]]) -> tuple[int, bool, bool]:
    """How many frames play, whether they are the first of those taken, and whether one is torn."""
    kept, plays, torn, behind = 0, True, False, False
    for name in dict.fromkeys(name for name, _ in taken):
        wanted = [time_s for other, time_s in taken if other == name]
        found, ragged = shown(Path(name))
        torn |= ragged
        begin = wanted[0]
        # the millisecond: Matroska counts in these. One more: taken, but killed before the note
        right = len(found) <= len(wanted) + 1 and all(
            abs(f - (w - begin)) < 0.0011 for f, w in zip(found, wanted, strict=False)
        )
        plays &= right and not (behind and found)
        behind = len(found) < len(wanted)
        kept += min(len(found), len(wanted))
    return kept, plays, torn


def shown(path: Path) -> tuple[list[float], bool]:
    """When each frame that can be decoded is shown, seconds, and whether the end is torn."""
    times: list[float] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                times.append(float(frame.time or 0.0))
    except av.error.EOFError:  # Matroska without its first cluster: nothing was to be kept yet
        return times, False
    except av.error.InvalidDataError:  # players leave it out
        return times, True
    return times, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clip", type=Path, default=Path(__file__).parents[1] / "demo/walkers.mp4")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input-size", default="128")
    parser.add_argument("--longest", type=float, default=6.0, help="seconds to the latest kill")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    done: list[Killed] = []
    while len(done) < given.runs:
        with tempfile.TemporaryDirectory() as folder:
            ending = _KINDS[len(done) % len(_KINDS)]
            options = ["--input-size", given.input_size, "-o", f"{folder}/out{ending}"]
            options += ["--segment", "1"] if len(done) % 2 else []
            after_s = chance.uniform(0, given.longest)
            killed = run_and_kill(given.clip, Path(folder), [*options], after_s)
        if killed is None:
            print("ended before the kill: not counted")
            continue
        done.append(killed)
        print(len(done), ending, killed, flush=True)
    result = {
        "clip": given.clip.name,
        "runs": len(done),
        "every_file_plays": all(killed.plays for killed in done),
        "torn": sum(killed.torn for killed in done),
        "most_missing_s": max(killed.missing_s for killed in done),
        "median_missing_s": sorted(killed.missing_s for killed in done)[len(done) // 2],
        "kills": [asdict(killed) for killed in done],
    }
    print({key: value for key, value in result.items() if key != "kills"})
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
