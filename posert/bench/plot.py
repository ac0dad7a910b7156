"""A result as one picture: what stages cost, what runs reach of the ideal, how long frames take."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posert.bench.results import Bench, RunCost
from posert.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STAGE, _IDEAL = "#4878a8", "#999999"
_KINDS = {"files": "#d1605e", "predecoded": "#6a9f58", "live": "#a87c9f"}


def require_matplotlib() -> None:
    """Raises ConfigError where there is none."""
    if find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib", fix='pip install "posert[plot]"')


def draw_bench(result: Bench, path: Path) -> None:
    """Writes ``result`` as a PNG.

    Raises:
        ConfigError: there is no matplotlib.
        OutputError: the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 5.6), dpi=100, layout="constrained")
    stages, speed, latency = figure.subplots(1, 3)
    figure.suptitle(
        f"posert {result.environment.posert}: {result.clip}, {result.size[0]}x{result.size[1]}, "
        f"{result.engine}, {result.environment.cpu}, {result.cores} cores",
        fontsize=10,
    )
    _draw_stages(stages, result)
    draw_speed(speed, result)
    _draw_latency(latency, result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as e:
        raise OutputError(f"{path}: cannot be written", got=e.strerror) from e


def _draw_stages(axes: Axes, result: Bench) -> None:
    """Bars of CPU time, marks of the clock's percentiles."""
    costs = result.stages[::-1]
    names = [f"{c.stage} x{c.batch}" if c.batch > 1 else c.stage for c in costs]
    axes.barh(names, [c.cpu_ms for c in costs], color=_STAGE, label="CPU ms, as at the right")
    for place, cost in enumerate(costs):
        axes.text(0.99, place, f"{cost.cpu_ms:.2f}", transform=axes.get_yaxis_transform(),
                  ha="right", va="center", fontsize=9)  # fmt: skip
    for mark, share in (("|", "p50"), (">", "p95"), ("x", "p99")):
        axes.plot([getattr(c.ms, share) for c in costs], names, mark, color="black",
                  markersize=6, label=f"{share} on the clock")  # fmt: skip
    axes.set_title("Each stage alone, ms a frame")
    axes.margins(x=0.2)
    _legend(axes, 2)


def draw_speed(axes: Axes, result: Bench) -> None:
    """Frames a second over the streams, the ideal above them."""
    for kind, runs in _by_kind(result).items():
        streams = [run.streams for run in runs]
        axes.plot(streams, [run.frames_per_second for run in runs], "o-", color=_KINDS[kind],
                  label=kind)  # fmt: skip
        axes.plot(streams, [run.ideal_fps for run in runs], "--_", markersize=12, alpha=0.6,
                  color=_KINDS[kind], label=f"ideal of {kind}")  # fmt: skip
        if offered := [run.offered_fps for run in runs if run.offered_fps is not None]:
            axes.plot(streams, offered, ":", color=_IDEAL, label="offered")
        for run in runs:
            axes.annotate(
                f"{run.ratio:.2f}", (run.streams, run.frames_per_second), xytext=(0, 6),
                textcoords="offset points", ha="center", fontsize=8, color=_KINDS[kind],
            )  # fmt: skip
    counts = sorted({run.streams for run in result.runs})
    if len(counts) > 2:
        axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    top = max(max(run.frames_per_second, run.ideal_fps) for run in result.runs)
    axes.set_ylim(0, 1.2 * top)
    axes.set_xlabel("streams", labelpad=1)
    of_offered = any(run.offered_fps is not None for run in result.runs)
    or_offered = ",\nor of what is offered where that is less" if of_offered else ""
    axes.set_title(f"Whole runs, frames/s (and share of the ideal{or_offered})")
    _legend(axes, 3)


def _draw_latency(axes: Axes, result: Bench) -> None:
    """Bars of p50, p95 and p99 of each run."""
    known = [run for run in result.runs if run.latency is not None]
    shown: list[tuple[str, Any]] = [(run.name, run.latency) for run in known]
    title = "Arrival of a frame to its data, ms"
    if not known:
        shown = [(run.name, run.interval) for run in result.runs if run.interval is not None]
        title = "Between two frames, ms"
    for place, share in enumerate(("p50", "p95", "p99")):
        at = [i + 0.27 * (place - 1) for i in range(len(shown))]
        bars = axes.bar(at, [getattr(ms, share) for _, ms in shown], 0.25, label=share,
                        color=("#9fc2e0", "#4878a8", "#1f3a56")[place])  # fmt: skip
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    names = [name.replace(", ", "\n") for name, _ in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8)
    axes.set_title(title)
    _legend(axes, 3)


def _legend(axes: Axes, columns: int) -> None:
    """Below, where it hides nothing."""
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)


def _by_kind(result: Bench) -> dict[str, list[RunCost]]:
    kinds = dict.fromkeys(run.kind for run in result.runs)
    return {kind: [run for run in result.runs if run.kind == kind] for kind in kinds}
