"""README's table of speeds, made of what ``posert bench --json bench/results/NAME.json`` wrote.

    python scripts/readme_bench.py

Writes the table between README's two marks; results of other benchmarks in that folder are not its
concern.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

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


def table(results: dict[str, Bench]) -> str:
    """A row a run of each result; ``results`` by the file's name."""
    rows = (row(name, result, run) for name, result in results.items() for run in result.runs)
    return HEAD + "".join(rows)


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


def is_ours(path: Path) -> bool:
    """Whether ``posert bench`` wrote it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(data, dict) and data.get("format") == "posert bench"


def updated(readme: str, found: dict[str, Bench]) -> str:
    """``readme`` with the table of ``found`` between its marks.

    Raises:
        ValueError: it has no marks.
    """
    text, count = BETWEEN.subn(lambda marks: marks[1] + table(found) + marks[2], readme)
    if count != 1:
        raise ValueError(
            f"README: got {count} places, expected one <!-- bench --> to <!-- /bench -->"
        )
    return text


def main() -> None:
    """Rewrite README."""
    try:
        text = updated(README.read_text(encoding="utf-8"), results())
    except ValueError as e:
        sys.exit(str(e))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
