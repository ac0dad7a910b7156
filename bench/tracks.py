"""Id switches on clips with known people, and what tracking and smoothing cost a frame.

    python bench/tracks.py [--shared ../shared] [--out bench/results/tracks.json]

The rendered clips of demo/ have exact truth; the real ones (not part of the repository) have boxes
given to people by eye, tests/tracks/. Each clip goes through the default model once.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from making.switches import Boxes, Seen, Truth, switches

from posert.pose import Pose
from posert.postprocess.smooth import Smoother
from posert.postprocess.track import Tracker
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import People

HERE = Path(__file__).resolve().parents[1]
REAL = ("retail", "one_by_one")


def people_of(pose: Pose, clip: Path) -> list[tuple[People, float]]:
    """The people of every frame and its time in seconds."""
    source = VideoFile(clip)
    found = [(pose(frame.image), frame.time_s) for frame in source.frames(Span())]
    source.close()
    return found


def follow(pose: Pose, found: list[tuple[People, float]]) -> list[People]:
    """The same people with ids."""
    tracker = Tracker(pose.topology)
    return [tracker.update(people, time_s) for people, time_s in found]


def of_clip(seen: Iterable[Seen], tracked: list[People]) -> dict[str, Any]:
    """What there is to say of the ids of a clip."""
    found, matched = switches(seen)
    ids = np.concatenate([people.ids for people in tracked if people.ids is not None])
    return {
        "frames": len(tracked),
        "ids": int(ids.max(initial=0)),
        "matched": matched,
        "switches": [asdict(switch) for switch in found],
    }


def rendered(pose: Pose, name: str) -> dict[str, Any]:
    """A clip of demo/; of each switch also how long the person was hidden before it."""
    truth = Truth.read(HERE / "demo" / f"{name}.truth.json", pose.topology.keypoints)
    tracked = follow(pose, people_of(pose, HERE / "demo" / f"{name}.mp4"))
    row = of_clip((truth.seen(i, people) for i, people in enumerate(tracked)), tracked)
    for switch in row["switches"]:
        switch["hidden_frames"] = truth.hidden(switch["who"], switch["last_frame"], switch["frame"])
    return row


def real(pose: Pose, name: str, shared: Path) -> dict[str, Any]:
    """A real clip with boxes by eye."""
    boxes = Boxes.read(HERE / "tests" / "tracks" / f"{name}.json")
    tracked = follow(pose, people_of(pose, shared / "data" / "video" / f"{name}.mp4"))
    return of_clip((boxes.seen(i, tracked[i]) for i in sorted(boxes.at)), tracked)


def cost_ms(pose: Pose, count: int, frames: int = 600) -> dict[str, float]:
    """Median milliseconds a frame of ``count`` people who walk with noise."""
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 1, (count, len(pose.topology.keypoints), 3)).astype(np.float32)
    body[:, :, :2] *= (60, 150)
    body[:, :, :2] += rng.uniform(0, 1500, (count, 1, 2)).astype(np.float32)
    tracker, smoother = Tracker(pose.topology), Smoother()
    took: dict[str, list[float]] = {"track": [], "smooth": []}
    for i in range(frames):
        noise = rng.normal(0, 1, body.shape).astype(np.float32) * (1, 1, 0)
        seen = People((body + noise).astype(np.float32), np.ones(count, np.float32))
        tracked = _timed(took["track"], tracker.update, seen, i / 30)
        _timed(took["smooth"], smoother.update, tracked, i / 30)
    return {stage: round(statistics.median(values), 4) for stage, values in took.items()}


def _timed(
    took: list[float], update: Callable[[People, float], People], people: People, time_s: float
) -> People:
    began = time.perf_counter()
    result = update(people, time_s)
    took.append((time.perf_counter() - began) * 1000)
    return result


def main() -> None:
    """Print and write all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=HERE.parent / "shared")
    parser.add_argument("--out", type=Path, default=HERE / "bench/results/tracks.json")
    args = parser.parse_args()
    pose = Pose()
    document: dict[str, Any] = {
        "python": platform.python_version(),
        "clips": {name: rendered(pose, name) for name in ("crossing", "walkers")},
        "ms_per_frame": {str(n): cost_ms(pose, n) for n in (1, 8, 32, 100)},
    }
    if args.shared.is_dir():
        document["clips"] |= {name: real(pose, name, args.shared) for name in REAL}
    for name, row in document["clips"].items():
        print(f"{name}: {len(row['switches'])} switches, {row['ids']} ids")
    print(document["ms_per_frame"])
    args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
