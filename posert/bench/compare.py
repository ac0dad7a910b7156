"""Two results side by side: what became faster, what slower, and whether that may be said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

from posert.bench.results import Bench, RunCost, StageCost

Better: TypeAlias = Literal["more", "less", ""]

NOISE: Final = 0.05  # changes of less are not worth a word


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of both."""

    name: str
    old: float
    new: float
    better: Better  # which way; nothing where neither is

    @property
    def ratio(self) -> float | None:
        """New over old; None where there was nothing."""
        return self.new / self.old if self.old else None

    @property
    def verdict(self) -> str:
        """better, worse, or nothing for a small change."""
        if self.ratio is None or abs(self.ratio - 1) < NOISE or not self.better:
            return ""
        return "better" if (self.ratio > 1) == (self.better == "more") else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures that both have; what makes them differ beside the code."""

    figures: tuple[Figure, ...]
    lacking: tuple[str, ...]  # measured in one alone
    differences: tuple[str, ...]  # "cpu: A, then B": figures tell little of the code then


def compare(old: Bench, new: Bench) -> Comparison:
    """``new`` beside ``old``."""
    before, after = _figures(old), _figures(new)
    return Comparison(
        tuple(
            Figure(name, value, after[name][0], better)
            for name, (value, better) in before.items()
            if name in after
        ),
        tuple(
            name for name in dict.fromkeys([*before, *after]) if (name in before) != (name in after)
        ),
        tuple(_differences(old, new)),
    )


def _figures(bench: Bench) -> dict[str, tuple[float, Better]]:
    found: dict[str, tuple[float, Better]] = {}
    for cost in bench.stages:
        found |= _stage(cost)
    for run in bench.runs:
        found |= _run(run)
    return found


def _stage(cost: StageCost) -> dict[str, tuple[float, Better]]:
    name = f"{cost.stage}, batch {cost.batch}" if cost.batch > 1 else cost.stage
    return {
        f"{name}: CPU ms": (cost.cpu_ms, "less"),
        f"{name}: p50 ms": (cost.ms.p50, "less"),
        f"{name}: p95 ms": (cost.ms.p95, "less"),
        f"{name}: frames/s": (cost.frames_per_second, "more"),
    }


def _run(run: RunCost) -> dict[str, tuple[float, Better]]:
    found: dict[str, tuple[float, Better]] = {
        f"{run.name}: frames/s": (run.frames_per_second, "more"),
        f"{run.name}: steady frames/s": (run.steady_fps, "more"),
        f"{run.name}: of the ideal": (run.ratio, "more"),
        f"{run.name}: CPU ms": (run.cpu_ms, "less"),
        f"{run.name}: cores used": (run.cores_used, ""),
        f"{run.name}: peak memory MB": (run.peak_memory_mb, "less"),
    }
    if run.offered_fps is not None:
        found[f"{run.name}: dropped"] = (float(run.dropped), "less")
    if run.latency is not None:
        found[f"{run.name}: latency p50 ms"] = (run.latency.p50, "less")
        found[f"{run.name}: latency p95 ms"] = (run.latency.p95, "less")
    return found


def _differences(old: Bench, new: Bench) -> Iterator[str]:
    """What was measured, and where, if that differs."""
    for name in (
        "clip",
        "size",
        "frames",
        "model",
        "engine",
        "input_size",
        "cores",
        "processes",
        "at_once",
    ):
        yield from _different(name, getattr(old, name), getattr(new, name))
    for field in fields(old.environment):
        before, after = getattr(old.environment, field.name), getattr(new.environment, field.name)
        if isinstance(before, dict):
            for library in dict.fromkeys([*before, *after]):
                yield from _different(library, before.get(library), after.get(library))
        else:
            yield from _different(field.name, before, after)


def _different(name: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{name}: {old or 'none'}, then {new or 'none'}"
