"""Both forms and precisions on the CPU, side by side: engine, parser and both, of one picture.

    python bench/engine_cpu.py [--model pose-small] [--rounds 40]

Variants take turns picture by picture, in one thread, so that a noisy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from posert.building.pictures import shipped_pictures
from posert.pose import Pose
from posert.types import Image

VARIANTS = [(precision, form) for precision in ("fp32", "int8") for form in ("maps", "compact")]


def timed(work: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    """Milliseconds of this thread's CPU, and what came of it."""
    began = time.thread_time()
    found = work(given)
    return 1e3 * (time.thread_time() - began), found


def measure(pose: Pose, image: Image) -> tuple[float, float]:
    engine_ms, (output, _) = timed(pose.estimator.infer, image)
    parse_ms, _ = timed(lambda output: pose.estimator.parse([output]), output)
    return engine_ms, parse_ms


def main() -> None:
    """Print a table; with --json write it too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="pose-small")
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    poses = {
        (precision, form): Pose(given.model, "onnxruntime", precision=precision, form=form)
        for precision, form in VARIANTS
    }
    pictures = shipped_pictures(8)
    times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in poses}
    for turn in range(given.rounds):
        for key, pose in poses.items():
            times[key].append(measure(pose, pictures[turn % len(pictures)]))
    first = sum(np.median(times[VARIANTS[0]], axis=0))
    rows = []
    print("precision  form     engine ms  parse ms  both ms  ratio to fp32 maps")
    for (precision, form), pairs in times.items():
        engine_ms, parse_ms = (float(ms) for ms in np.median(pairs, axis=0))
        both = engine_ms + parse_ms
        print(
            f"{precision:9}  {form:7}  {engine_ms:9.1f}  {parse_ms:8.2f}  {both:7.1f}"
            f"  {both / first:.3f}"
        )
        rows.append(
            {"precision": precision, "form": form, "engine_ms": round(engine_ms, 2),
             "parse_ms": round(parse_ms, 3), "ratio": round(both / first, 4)}
        )  # fmt: skip
    if given.json is not None:
        given.json.write_text(json.dumps({"model": given.model, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
