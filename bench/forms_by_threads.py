"""Both forms on the CPU by number of inference threads: frames/s of `posert run` to JSONL.

    python bench/forms_by_threads.py [--rounds 3] [--json FILE]

The demo clip, nothing drawn. The forms take turns, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import posert
from posert.config import shipped
from posert.runtime.cores import usable_cores

FORMS = ("maps", "compact")


def frames_per_second(form: str, workers: int, target: Path) -> tuple[float, str]:
    clip = shipped("demo") / "walkers.mp4"
    report = posert.run(clip, backend="onnxruntime", form=form, workers=workers, jsonl=str(target))
    return report.frames_per_second, report.engine


def main() -> None:
    """Print a table; with --json write it too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    cores = usable_cores()
    rows = []
    print(f"{cores} cores\nthreads  maps  compact  ratio")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "people.jsonl"
        for form in FORMS:
            frames_per_second(form, cores, target)  # the compact form is built here
        for workers in [n for n in (1, 2, 4, 8, 16, 32) if n <= cores]:
            speeds = [
                [frames_per_second(form, workers, target)[0] for form in FORMS]
                for _ in range(given.rounds)
            ]
            maps, compact = np.median(speeds, axis=0)
            ratio = float(np.median([c / m for m, c in speeds]))
            print(f"{workers:7}  {maps:5.1f}  {compact:7.1f}  {ratio:.2f}", flush=True)
            rows.append(
                {"threads": workers, "maps": round(maps, 1), "compact": round(compact, 1),
                 "ratio": round(ratio, 3)}
            )  # fmt: skip
    if given.json is not None:
        facts = {"clip": "walkers.mp4", "cores": cores, "rounds": given.rounds, "rows": rows}
        given.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
