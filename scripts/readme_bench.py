"""README's table of speeds, made of what ``posert bench --json bench/results/NAME.json`` wrote.

    python scripts/readme_bench.py

Writes the table between README's two marks, with a row for each run of ``bench/processes.py`` on a
GPU too; results of other benchmarks in that folder are not its concern.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posert.bench.results import Bench, RunCost, read_bench

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
README = ROOT / "README.md"
BETWEEN = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)
HEAD = (
    "| machine, engine | clip | run | ideal, frames/s | achieved | ratio | channels at 30/s | "
    "engine busy |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def table(results: dict[str, Bench], on_gpus: dict[str, Any] | None = None) -> str:
    """A row a run of each result; both by the file's name, ``on_gpus`` of bench/processes.py."""
    rows = [row(name, result, run) for name, result in results.items() for run in result.runs]
    for name, result in (on_gpus or {}).items():
        rows += gpu_rows(name, result)
    return HEAD + "".join(rows)


def gpu_rows(name: str, result: dict[str, Any]) -> Iterator[str]:
    """Runs of files and of pictures decoded ahead, beside the slower of NVDEC and the engine."""
    where = f"[{result['gpu']}](bench/results/{name}): {result['engine']}"
    for codec in ("h264", "hevc"):
        limits = result.get(codec, {})
        if "nvdec" not in limits:  # of several GPUs these were not measured
            continue
        for streams, runs in limits.items():
            for kind, run in runs.items() if isinstance(runs, dict) else ():
                decoded_ahead = kind.startswith("ahead")
                ideal = (
                    limits["engine"] if decoded_ahead else min(limits["nvdec"], limits["engine"])
                )
                fps = run["frames_a_second"]
                what = f"{'predecoded' if decoded_ahead else 'files'}, {streams} streams, data"
                cells = (
                    where, f"{codec}.mp4, 1920x1080", what, f"{ideal}", f"{fps}",
                    f"{fps / ideal:.2f}", f"{fps / 30:.1f}", f"{fps / limits['engine']:.0%}",
                )  # fmt: skip
                yield f"| {' | '.join(cells)} |\n"


def row(name: str, result: Bench, run: RunCost) -> str:
    """One run of one result."""
    environment = result.environment
    device = ", ".join(environment.gpus) or environment.cpu
    where = f"[{device}, {result.cores} cores](bench/results/{name}): {result.engine}"
    width, height = result.size
    what = (
        run.name if any(cost.stage == "encode" for cost in result.stages) else f"{run.name}, data"
    )
    cells = (
        where, f"{result.clip}, {width}x{height}", what, f"{run.ideal_fps:.1f}",
        f"{run.frames_per_second:.1f}", f"{run.ratio:.2f}", f"{run.channels:.1f}",
        f"{run.engine_busy:.0%}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def results(folder: Path = RESULTS) -> dict[str, Bench]:
    """The results of ``posert bench`` in a folder, by name."""
    return {path.name: read_bench(path) for path in sorted(folder.glob("*.json")) if is_ours(path)}


def gpu_results(folder: Path = RESULTS) -> dict[str, Any]:
    """Those of ``bench/processes.py``, by name."""
    paths = sorted(folder.glob("*-processes-*.json"))
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def is_ours(path: Path) -> bool:
    """Whether ``posert bench`` wrote it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(data, dict) and data.get("format") == "posert bench"


def updated(readme: str, found: dict[str, Bench], on_gpus: dict[str, Any] | None = None) -> str:
    """``readme`` with the table of ``found`` and ``on_gpus`` between its marks.

    Raises:
        ValueError: it has no marks.
    """
    text, count = BETWEEN.subn(lambda marks: marks[1] + table(found, on_gpus) + marks[2], readme)
    if count != 1:
        raise ValueError(
            f"README: got {count} places, expected one <!-- bench --> to <!-- /bench -->"
        )
    return text


def main() -> None:
    """Rewrite README."""
    try:
        text = updated(README.read_text(encoding="utf-8"), results(), gpu_results())
    except ValueError as e:
        sys.exit(str(e))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
