"""How long parse_maps takes on maps of 1, 5 and 20 people: medians, p95 and calibrated ratios.

The maps are drawn as a trt_pose-style network is taught to draw them (confidence: Gaussians of
sigma 1.4 cells; part affinity fields: unit vectors within one cell of a link), plus mild noise.
Cases run interleaved, so that a busy moment of the machine touches them all; the calibrator,
numpy.sort of a million float32, runs among them. Usage: python bench/parse_maps.py [--rounds 200]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from posert.postprocess import parse_maps
from posert.postprocess.topology import Topology
from posert.types import Float32

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle", "neck",
)  # fmt: skip
LINKS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 7), (6, 8), (7, 9), (8, 10), (1, 2),
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (17, 0), (17, 5), (17, 6), (17, 11), (17, 12),
)  # fmt: skip
PERSON = Topology("person", KEYPOINTS, LINKS, tuple((2 * k, 2 * k + 1) for k in range(len(LINKS))))
# A standing person: x, y of each keypoint in units of the person's height.
STANDING = np.array(
    [
        (0.0, 0.08), (0.03, 0.06), (-0.03, 0.06), (0.06, 0.08), (-0.06, 0.08), (0.12, 0.2),
        (-0.12, 0.2), (0.17, 0.35), (-0.17, 0.35), (0.18, 0.5), (-0.18, 0.5), (0.08, 0.52),
        (-0.08, 0.52), (0.09, 0.74), (-0.09, 0.74), (0.09, 0.95), (-0.09, 0.95), (0.0, 0.2),
    ],
    np.float32,
)  # fmt: skip
SIGMA, REACH, NOISE = 1.4, 1.0, 0.02  # cells, cells, of the maps' values


def draw_maps(people: int, size: tuple[int, int], seed: int = 0) -> tuple[Float32, Float32]:
    """cmap float32 (18, h, w) and paf float32 (42, h, w) of people scattered over the map."""
    h, w = size
    rng = np.random.default_rng(seed)
    ys, xs = np.indices(size, np.float32) + 0.5
    cmap = np.zeros((len(KEYPOINTS), h, w), np.float32)
    paf = np.zeros((2 * len(LINKS), h, w), np.float32)
    for _ in range(people):
        height = rng.uniform(0.3, 0.7 if people > 5 else 0.9) * h
        corner = rng.uniform((0.15 * w, 0), (0.85 * w, h - height))
        points = corner + STANDING * height + rng.normal(0, 0.01 * height, STANDING.shape)
        for c, (x, y) in enumerate(points):
            bump = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * SIGMA**2))
            cmap[c] = np.maximum(cmap[c], bump)
        for k, (a, b) in enumerate(LINKS):
            along = points[b] - points[a]
            length = float(np.hypot(*along)) + 1e-6
            ux, uy = along / length
            dx, dy = xs - points[a, 0], ys - points[a, 1]
            at = dx * ux + dy * uy
            near = (np.abs(dx * uy - dy * ux) <= REACH) & (at >= -REACH) & (at <= length + REACH)
            paf[2 * k][near], paf[2 * k + 1][near] = uy, ux
    cmap += rng.normal(0, NOISE, cmap.shape).astype(np.float32)
    paf += rng.normal(0, NOISE, paf.shape).astype(np.float32)
    return cmap, paf


def measure(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, Float32]:
    """Times of each case, ms: every round runs every case once."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: np.array(taken, np.float32) for name, taken in times.items()}


def main() -> None:
    """Print one line a case."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=200)
    rounds = arguments.parse_args().rounds
    unsorted = np.random.default_rng(0).random(1_000_000).astype(np.float32)
    cases: dict[str, Callable[[], object]] = {"calibrator": lambda: np.sort(unsorted)}
    for people in (1, 5, 20):
        cmap, paf = draw_maps(people, (64, 96))
        for reference in (True, False):
            name = f"{people:2d} people, reference={reference}"
            cases[name] = partial(parse_maps, cmap, paf, PERSON, reference=reference)
    measure(cases, 5)  # warm up
    times = measure(cases, rounds)
    calibrator = np.median(times["calibrator"])
    print(f"{'':26s} median ms   p95 ms   ratio to calibrator")
    for name, taken in times.items():
        median, slow = np.median(taken), np.percentile(taken, 95)
        print(f"{name:26s} {median:9.2f} {slow:8.2f} {median / calibrator:10.3f}")


if __name__ == "__main__":
    main()
