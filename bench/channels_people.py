"""Whether NVDEC and the GPU's engine find the people that the CPU path finds.

Each clip is read by FFmpeg and run on the CPU (``cpu``: fp32, the reference), read by FFmpeg and
run on the GPU (``gpu``), and read by NVDEC, scaled on the device and run on the GPU (``nvdec``).
Said of each pair: the share of frames with as many people, and with the same keypoints found too,
and how far the keypoints of the latter are apart, in pixels of the clip. People come in order of
their scores, which may be nearly equal: they are paired by their places.
Usage: python bench/channels_people.py CLIP ... [-o result.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

import posert
from posert.runtime.sources.nvcodec import NvcodecFile
from posert.runtime.sources.source import Source, Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Frame, People

BATCH = 16


def people(pose: posert.Pose, source: Source, every: int) -> list[People]:
    frames = source.frames(Span(every=every))
    found: list[People] = []
    while batch := list(islice(frames, BATCH)):
        found += pose.estimator.batch(batch)
    source.close()
    return found


def compare(found: list[People], expected: list[People]) -> dict[str, float]:
    as_many, same, apart = 0, 0, [np.zeros(0)]
    for ours, b in zip(found, expected, strict=True):
        if len(ours) != len(b):
            continue
        as_many += 1
        a = ours.keypoints[nearest(ours, b)]
        if (np.isnan(a) == np.isnan(b.keypoints)).all():
            same += 1
            distance = np.hypot(*np.moveaxis(a[..., :2] - b.keypoints[..., :2], -1, 0))
            apart.append(distance[np.isfinite(distance)])
    distances = np.concatenate(apart)
    return {
        "frames": len(expected),
        "people": sum(map(len, expected)),
        "as_many_people": round(as_many / len(expected), 4),
        "same_keypoints": round(same / len(expected), 4),
        **{
            f"px_{name}": _px(distances, q)
            for name, q in (("median", 50), ("p99", 99), ("most", 100))
        },
    }


def nearest(found: People, expected: People) -> Any:
    """Which person of ``found`` each of as many ``expected`` is, by the middle of the body."""
    middles = [np.nanmean(people.keypoints[..., :2], axis=1) for people in (expected, found)]
    apart = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=-1)
    return linear_sum_assignment(apart)[1]


def _px(distances: Any, percentile: float) -> float:
    return round(float(np.percentile(distances, percentile)), 4) if len(distances) else 0.0


def pixels(ours: Iterable[Frame], theirs: Iterable[Frame]) -> int:
    """The largest difference of pixels between two readers."""
    pairs = zip(ours, theirs, strict=True)
    return max(int(np.abs(a.image.astype(int) - b.image).max()) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--precision", nargs="+", default=["fp32", "fp16"])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cpu = posert.Pose(backend="onnxruntime", precision="fp32", form="maps")
    result: dict[str, Any] = {}
    for clip in arguments.clips:
        span = Span(every=40)
        of_clip = result[clip.name] = {
            "pixels": pixels(NvcodecFile(clip).frames(span), VideoFile(clip).frames(span))
        }
        by_cpu = people(cpu, VideoFile(clip), arguments.every)
        for precision in arguments.precision:
            gpu = posert.Pose(backend="onnxruntime-cuda", precision=precision)
            by_gpu = people(gpu, VideoFile(clip), arguments.every)
            by_nvdec = people(gpu, NvcodecFile(clip), arguments.every)
            of_clip[f"{precision}, nvdec against gpu"] = compare(by_nvdec, by_gpu)
            of_clip[f"{precision}, nvdec against cpu"] = compare(by_nvdec, by_cpu)
            of_clip[f"{precision}, gpu against cpu"] = compare(by_gpu, by_cpu)
        print(clip.name, json.dumps(of_clip, indent=1), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
