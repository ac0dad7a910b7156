"""How long the host's half of the compact form takes a frame: parsing, and its JSON line.

    python bench/parse_tensors.py [--rounds 30] [--trt-pose times.json]

Frames of the demo clip through the compact form of pose-small, and the golden maps through the
graph behind a network, one by one and in batches. All cases take turns, so that a busy moment of
the machine touches them all. ``--trt-pose`` is a file of trt_pose's own times for the golden maps,
``{"files": {"photo_1.npz": {"trt_pose_ms": 0.1, "calibrator_ms": 3.4}}}``: those of its whole C++
parser, which finds the peaks and scores the links too. Each is set to this machine's speed by the
calibrator, numpy.sort of a million float32, and ours is told as so many times it; the verdict is on
the photos, one by one. NumPy sorts some ten times as fast where it has vector instructions for it,
so on another kind of machine the calibrator misleads: look at the times as given too.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime

from posert.config import shipped
from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact, parse_graph, peaks_limit
from posert.postprocess import ParserSettings
from posert.postprocess.tensors import parse_batch, parse_tensors
from posert.postprocess.topology import Topology
from posert.runtime.preprocess import fit
from posert.runtime.sinks.jsonl import JsonLines
from posert.types import Frame, People, PoseTensors, Result, SourceInfo

FRAMES = 32  # of each case: the largest batch
BATCHES = (16, 32)
SIZE = (224, 384)  # pixels, height and width
GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
FILES = (  # by people
    "one", "photo_566282", "photo_541123", "photo_535523", "photo_398203", "crowd_30",
    "photo_493905", "photo_303566", "photo_098853",
)  # fmt: skip
STEADY = 1.5  # upper over lower quartile of the calibrator: with more, nothing can be told
WITHIN = 3.0  # times trt_pose's time: what is asked of every photo
INFO = SourceInfo("clip.mp4", 1280, 720, Fraction(25), Fraction(1, 25))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Frames of one kind, as the compact form gives them."""

    name: str
    frames: list[PoseTensors]
    topology: Topology
    settings: ParserSettings


def run(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[PoseTensors]:
    """What a compact graph says of each picture of a batch."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    peaks, counts, scores = session.run(["peaks", "counts", "link_scores"], feeds)
    return [PoseTensors(*each) for each in zip(peaks, counts.astype(np.int64), scores, strict=True)]


def demo() -> Case:
    """Every fourth frame of the demo clip, with the settings of pose-small's card."""
    card = find_card("pose-small")
    topology = read_topology(card.topology_path)
    names = ParserSettings.__dataclass_fields__
    settings = ParserSettings(**{name: getattr(card.parser, name) for name in names})
    stride = card.outputs.stride
    limit = peaks_limit(topology, settings, (SIZE[0] // stride, SIZE[1] // stride))
    settings = replace(settings, max_peaks=limit)
    with av.open(str(shipped("demo") / "walkers.mp4")) as clip:
        decoded = [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in clip.decode(video=0)
        ]
    images = [fit(image, card.input, SIZE, stride)[0] for image in decoded[:: len(decoded) // 32]]
    model = compact(onnx.load(str(card.onnx_path)), card, topology, settings, size=SIZE)
    found = run(model, {"frames": np.stack(images[:FRAMES])})
    return Case("demo", found, topology, settings)


def golden(name: str, reference: bool) -> Case:
    """A golden file, again and again."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        given = dict(file)
    maps = {key: given[key].astype(np.float32)[None] for key in ("cmap", "paf")}
    keypoints = [f"keypoint {index}" for index in range(maps["cmap"].shape[1])]
    topology = Topology.from_rows(name, keypoints, given["topology"])
    settings = ParserSettings(**json.loads(str(given["params"])))
    settings = replace(settings, reference=reference)
    return Case(name, run(parse_graph(topology, settings), maps) * FRAMES, topology, settings)


def steps(case: Case) -> list[Callable[[], object]]:
    """All frames of a case one by one, in batches, and as JSON lines."""
    frames, rest = case.frames, (case.topology, case.settings)
    sink = JsonLines(Path(os.devnull), case.topology)
    frame = Frame(np.zeros((720, 1280, 3), np.uint8), 0, 0, 0.0)
    results = [Result(INFO, frame, people) for people in parse_batch(frames, *rest)]

    def write() -> None:
        for result in results:
            sink.write([result])

    return [
        lambda: [parse_tensors(each, *rest) for each in frames],
        *(partial(in_batches, case, size) for size in BATCHES),
        write,
    ]


def in_batches(case: Case, size: int) -> list[People]:
    return [
        people
        for start in range(0, len(case.frames), size)
        for people in parse_batch(case.frames[start : start + size], case.topology, case.settings)
    ]


def timed(work: list[Callable[[], object]], rounds: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Milliseconds of each (columns) in each round, which runs all."""
    times = np.zeros((rounds + 1, len(work)))
    for row in times:
        for column, each in enumerate(work):
            start = time.perf_counter()
            each()
            row[column] = (time.perf_counter() - start) * 1e3
    return times[1:]  # the first warms up


def main() -> None:
    """Print a table, ms a frame."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--trt-pose", type=Path)
    given = arguments.parse_args()
    onnxruntime.set_default_logger_severity(3)
    theirs = json.loads(given.trt_pose.read_text())["files"] if given.trt_pose else {}
    cases = [demo(), *(golden(name, reference) for name in FILES for reference in (False, True))]
    unsorted = np.random.default_rng(0).random(1_000_000).astype(np.float32)
    work = [step for case in cases for step in steps(case)]
    rounds = timed([*work, lambda: np.sort(unsorted)], given.rounds)
    *times, calibrator = np.median(rounds, axis=0).tolist()
    low, high = np.percentile(rounds[:, -1], [25, 75])
    rows = np.array(times).reshape(len(cases), -1) / FRAMES
    print(f"calibrator: {calibrator:.2f} ms here", end="")
    print(*{f", {each['calibrator_ms']} ms for trt_pose" for each in list(theirs.values())[:1]})
    heads = ["one by one", *(f"batch {size}" for size in BATCHES), "JSON line"]
    scaled = "trt_pose, scaled | times it | trt_pose, as given | times it"
    print("| maps | parser | people |", " | ".join(heads), f"| {scaled} |")
    told: dict[str, float] = {}
    for case, row in zip(cases, rows, strict=True):
        people = np.mean([len(each) for each in in_batches(case, FRAMES)])
        parser = "trt_pose's" if case.settings.reference else "PoseRT's"
        numbers = " | ".join(f"{ms:.3f}" for ms in row)
        print(f"| {case.name} | {parser} | {people:.0f} | {numbers} |", end="")
        if each := theirs.get(f"{case.name}.npz"):
            here = each["trt_pose_ms"] / each["calibrator_ms"] * calibrator
            given = each["trt_pose_ms"]
            print(f" {here:.3f} | {row[0] / here:.2f} | {given:.3f} | {row[0] / given:.2f} |")
            told[f"{case.name}, {parser}"] = row[0] / here
        else:
            print(" | | | |")
    steady = high <= STEADY * low
    busy = f"no verdict: the machine is too busy, its calibrator took {low:.1f} to {high:.1f} ms"
    print(verdict(told) if steady else busy)


def verdict(times: dict[str, float]) -> str:
    """Whether every photo is parsed in at most so many times trt_pose's time."""
    photos = {name: ratio for name, ratio in times.items() if name.startswith("photo")}
    if not photos:
        return "no verdict: give --trt-pose"
    worst = max(photos, key=lambda name: photos[name])
    all_of = "every photo" if photos[worst] <= WITHIN else "not every photo"
    return f"within {WITHIN:.0f}x of trt_pose: {all_of}; worst {photos[worst]:.2f}x ({worst})"


if __name__ == "__main__":
    main()
