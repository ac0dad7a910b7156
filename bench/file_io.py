"""A whole run on one file through FFmpeg and through GStreamer, in turn; prints the ratio.

    .venv-gst/bin/python bench/file_io.py VIDEO [--frames 300] [--rounds 3] [--json FILE]

Needs an OpenCV with GStreamer (make .venv-gst/.ready). The runs write JSON lines only, as video
encoding would hide what is compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import posert
from posert.pose import Pose
from posert.runtime.video_io import VideoIO, why_not

WAYS: tuple[VideoIO, ...] = ("ffmpeg", "gstreamer")


def frames_per_s(video: Path, io: VideoIO, frames: int) -> float:
    """Frames a second of ``posert.run``, everything that a run does included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        lines = Path(folder) / "out.jsonl"
        posert.run(video, jsonl=lines, io=io, max_frames=frames)
        took = time.perf_counter() - began
        return len(lines.read_text().splitlines()) / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if why := why_not("gstreamer", "file", asked.video):
        raise SystemExit(f"GStreamer does not read {asked.video}: {why}")
    Pose()  # the engine is built, if it must be, outside the time
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(asked.rounds):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            rates[way].append(frames_per_s(asked.video, way, asked.frames))
            print(f"{way:10} {rates[way][-1]:6.1f} frames/s", flush=True)
    medians = {way: statistics.median(found) for way, found in rates.items()}
    ratio = medians["gstreamer"] / medians["ffmpeg"]
    print(f"gstreamer / ffmpeg = {ratio:.2f}")
    if asked.json is not None:
        result = {"video": asked.video.name, "frames_per_s": rates, "ratio": round(ratio, 3)}
        asked.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
