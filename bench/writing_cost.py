"""What it costs to lose nothing: videos written as they are, and with one measure left out.

    python bench/writing_cost.py [--clip demo/walkers.mp4] [--json FILE]

Variants take turns round by round, so that a noisy machine disturbs all alike. PSNR is of the
luma against what the writer was given.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np

from posert.runtime.sinks import disk, video
from posert.runtime.sinks.video import VideoWriter
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Image, SourceInfo

NO_SYNC = [(disk, "_EVERY_S", 1e9)]
LOOKING_AHEAD = [
    (video, "ENCODERS", {"libx264": {"preset": "veryfast", "crf": "23", "bf": "0"}}),
    (video, "_KEY_FRAME_S", 1),
]
VARIANTS: dict[str, list[tuple[Any, str, Any]]] = {
    "as it is": [],
    "without fdatasync": NO_SYNC,
    "fragments of a second": [(video, "_FRAGMENT_S", 1.0)],
    "x264 looks ahead, key frame a second": LOOKING_AHEAD,
    "all three": [*NO_SYNC, (video, "_FRAGMENT_S", 1.0), *LOOKING_AHEAD],
}


@contextmanager
def changed(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    with ExitStack() as patches:
        for module, name, value in changes:
            patches.enter_context(patch.object(module, name, value))
        yield


def written(path: Path, images: list[Image], info: SourceInfo) -> tuple[float, float]:
    """CPU and clock, milliseconds a frame, from opening to the closed file."""
    step = max(1, round(1 / (info.rate * info.time_base)))
    cpu, clock = time.process_time(), time.perf_counter()
    writer = VideoWriter(path, info, "libx264")
    for number, image in enumerate(images):
        writer.write(image, number * step)
    writer.close()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return 1e3 * cpu / len(images), 1e3 * clock / len(images)


def luma(image: Image) -> np.ndarray:
    """BT.709, full range."""
    return np.asarray(image[..., ::-1] @ np.array([0.2126, 0.7152, 0.0722]), np.float64)


def psnr(path: Path, images: list[Image]) -> float:
    with av.open(str(path)) as container:
        shown = (frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))
        pairs = islice(zip(shown, images, strict=False), 0, None, 10)
        errors = [float(np.mean((luma(np.asarray(a, np.uint8)) - luma(b)) ** 2)) for a, b in pairs]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def main() -> None:
    """Print a table; with --json write it too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--clip", type=Path, default=Path(__file__).parents[1] / "demo/walkers.mp4"
    )
    arguments.add_argument("--frames", type=int, default=150)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--folder", type=Path, help="where to write: on the disk of interest")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    source = VideoFile(given.clip)
    images = [frame.image for frame in source.frames(Span(max_frames=given.frames))]
    source.close()
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        paths = {name: Path(folder) / f"{i}.mp4" for i, name in enumerate(VARIANTS)}
        for _ in range(given.rounds):
            for name, changes in VARIANTS.items():
                with changed(changes):
                    costs[name].append(written(paths[name], images, source.info))
        for name, path in paths.items():
            cpu_ms, clock_ms = (float(ms) for ms in np.median(costs[name], axis=0))
            kilobytes, quality = path.stat().st_size / 1e3, psnr(path, images)
            rows.append(
                {"variant": name, "cpu_ms": round(cpu_ms, 2), "clock_ms": round(clock_ms, 2),
                 "kilobytes": round(kilobytes), "psnr_db": round(quality, 2)}
            )  # fmt: skip
    for row in rows:
        ratio = rows[0]["cpu_ms"] / row["cpu_ms"]
        print(
            f"{row['variant']:38} cpu {row['cpu_ms']:6.2f} ms  clock {row['clock_ms']:6.2f} ms  "
            f"{row['kilobytes']:6d} kB  {row['psnr_db']:.2f} dB  as it is / this: cpu {ratio:.3f}"
        )
    if given.json:
        size = [source.info.width, source.info.height]
        result = {"clip": given.clip.name, "size": size, "frames": len(images), "variants": rows}
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
