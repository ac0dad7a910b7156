"""Results of ``posert bench`` as tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from posert.bench.compare import Comparison
from posert.bench.results import Bench, RunCost, Spread, StageCost, rounds_told
from posert.bench.scaling import scaling
from posert.model_card import InputSize

log = logging.getLogger(__name__)

_QUIET: Final = 0.9  # share of a core that a thread gets where nothing else runs


def print_bench(result: Bench) -> None:
    """Stages alone, then whole runs beside their ideal."""
    width, height = result.size
    console = Console()
    print(f"{result.clip}, {width}x{height}, {result.model} at {_size(result.input_size)} on")
    print(f"{result.engine}, {result.cores} cores: {rounds_told(result.rounds)}")
    stages = _table("stage alone, a frame", "CPU ms", "p50 ms", "p95 ms", "p99 ms", "frames/s")
    for cost in result.stages:
        stages.add_row(_named(cost), *_numbers(cost))
    speeds = _table("whole run", "frames/s", "steady", "ideal", "ratio", "at 30/s")
    costs = _table("what it took", "CPU ms", "cores", "engine", "MB")
    times = _table("ms", "p50", "p95", "p99")
    for run in result.runs:
        speeds.add_row(run.name, *_speed(run))
        costs.add_row(run.name, *_cost(run))
        if run.interval is not None:
            times.add_row(f"{run.name}: between frames", *_percentiles(run.interval))
        if run.latency is not None:
            times.add_row(f"{run.name}: arrival to data", *_percentiles(run.latency))
    for table in (stages, speeds, costs, times):
        console.print(table)
    for run in result.runs:
        for line in _more(run):
            print(f"{run.name}: {line}")
    for line in scaling(result.runs):
        print(line)
    if result.undisturbed < _QUIET:
        log.warning(
            "a busy thread got %.0f %% of a core: other programs run here, and figures are too low",
            100 * result.undisturbed,
        )


def print_comparison(comparison: Comparison, old: str, new: str) -> None:
    """Each figure of both and their ratio."""
    for difference in comparison.differences:
        log.warning("not the same: %s", difference)
    print(f"old: {old}\nnew: {new}")
    table = _table("", "old", "new", "new / old", "")
    for figure in comparison.figures:
        ratio = f"{figure.ratio:.3f}" if figure.ratio is not None else ""
        numbers = f"{figure.old:.4g}", f"{figure.new:.4g}"
        table.add_row(figure.name, *numbers, ratio, figure.verdict)
    Console().print(table)
    if comparison.lacking:
        print(f"in one of them alone: {', '.join(comparison.lacking)}")


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")  # where a screen is narrow, nothing is left out
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _size(size: InputSize) -> str:
    """As ``--input-size`` takes it."""
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"


def _named(cost: StageCost) -> str:
    extra = [f"batch {cost.batch}"] * (cost.batch > 1) + [f"{cost.threads} threads"] * (
        cost.threads > 1
    )
    return f"{cost.stage} ({', '.join(extra)})" if extra else cost.stage


def _numbers(cost: StageCost) -> list[str]:
    return [f"{cost.cpu_ms:.2f}", *_percentiles(cost.ms), f"{cost.frames_per_second:.1f}"]


def _speed(run: RunCost) -> list[str]:
    return [
        f"{run.frames_per_second:.1f}",
        f"{run.steady_fps:.1f}",
        f"{run.ideal_fps:.1f}",
        f"{run.ratio:.3f}",
        f"{run.channels:.1f}",
    ]


def _cost(run: RunCost) -> list[str]:
    return [
        f"{run.cpu_ms:.1f}",
        f"{run.cores_used:.2f}",
        f"{run.engine_busy:.0%}",
        f"{run.peak_memory_mb:.0f}",
    ]


def _percentiles(ms: Spread) -> list[str]:
    return [f"{each:.2f}" for each in (ms.p50, ms.p95, ms.p99)]


def _more(run: RunCost) -> Iterator[str]:
    """What is told of live sources and of GPUs."""
    if run.offered_fps is not None:
        yield f"{run.offered_fps:.0f} frames/s offered, {run.dropped} frames dropped"
    for gpu in run.gpus:
        yield (
            f"{gpu.name} {gpu.busy:.0%} busy, its decoder {gpu.decoder_busy:.0%}, "
            f"{gpu.memory_mb:.0f} MB in use"
        )
