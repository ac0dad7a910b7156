"""Whether frames/s grow with the streams until a stage is full, and stay there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from posert.bench.results import RunCost

_LINEAR: Final = 0.1  # how far off the line, or the level, is still on it


def scaling(runs: Sequence[RunCost]) -> Iterator[str]:
    """One line a kind of run that had several stream counts."""
    for kind in dict.fromkeys(run.kind for run in runs):
        same = sorted((run for run in runs if run.kind == kind), key=lambda run: run.streams)
        if len(same) > 1:
            yield f"{kind}: {_told(same)}"


def _told(runs: Sequence[RunCost]) -> str:
    one = runs[0].frames_per_second / runs[0].streams
    of_line = [run.frames_per_second / (one * run.streams) for run in runs]
    off = (i for i, share in enumerate(of_line) if abs(share - 1) > _LINEAR)
    first = next(off, len(runs))
    grows = f"frames/s grow with the streams to {runs[first - 1].streams}"
    if first == len(runs):
        return f"{grows}, the most tried"
    rates = [run.frames_per_second for run in runs[first:]]
    spread = max(rates) / min(rates) - 1
    before = runs[first - 1].frames_per_second
    if len(rates) > 1:
        flat = "flat" if spread <= _LINEAR else "not flat"
        level = f"{min(rates):.0f} to {max(rates):.0f} frames/s ({flat}) to {runs[-1].streams}"
    else:
        level = f"{rates[0]:.0f} frames/s at {runs[-1].streams}"
    if rates[-1] > (1 + _LINEAR) * max([before, *rates[:-1]]):
        level += ", still growing"
    told = f"{grows}, then {level}"
    more = [
        f"{share:.2f} times the line at {run.streams}"
        for run, share in zip(runs, of_line, strict=True)
        if share > 1 + _LINEAR
    ]
    return ", ".join([told, *more])
