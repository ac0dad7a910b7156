"""Processes that share a GPU: frames a second from files to JSON lines, against what limits them.

For each codec, of 1080p clips, all in one run and so side by side:

- ``nvdec``: decoding alone, packets in memory, a decoder and a thread a stream;
- ``engine``: the network alone on pictures that are on the device, batches of 64, the best of 1, 2
  and 4 threads, without parser;
- ``run N``: ``posert run --processes N`` of the files, to one file of JSON lines: people are found
  and followed by N processes beside the one that has the GPU, or where N is 1 by that one;
- ``ahead N``: the same on pictures decoded ahead of time: its share of ``engine`` is how busy the
  engine is.

Rates of runs are those from four tenths of the frames to nine tenths. With --gpus of several GPUs
they are all of these together, and the first two still those of one.
Usage: python bench/processes.py [-o result.json] [--clips FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ahead import AheadSource
from channels import Lock, Meter, clip, packets, raw_decoder, usual_wait

import posert
from posert import running
from posert.gpu import gpus
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.engine import DeviceEngine, device_engine, infer_pictures
from posert.runtime.sources.source import Span
from posert.runtime.stream import Tally

BATCH = 64


def engine_alone(pose: posert.Pose, engine: DeviceEngine, path: Path, meter: Meter) -> int:
    source = AheadSource(path)
    frames = source.frames(Span(max_frames=BATCH))
    pictures = [f.picture for f in frames if isinstance(f.picture, Nv12Picture)]

    def step(_: ExitStack) -> Any:
        return lambda: len(infer_pictures(engine, pictures, pose.card, pose.estimator.size))

    return round(max(meter.rate([step] * threads)["frames_a_second"] for threads in (1, 2, 4)))


class Marks:
    """How many frames were done when."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}
        self._count = 0
        self._marks: list[tuple[float, int]] = [(time.perf_counter(), 0)]

    def add(self, tally: Tally) -> None:
        self._count += tally.frames - self._done.get(id(tally), 0)
        self._done[id(tally)] = tally.frames
        if time.perf_counter() - self._marks[-1][0] > 0.02:
            self._marks.append((time.perf_counter(), self._count))

    def rate(self, total: int) -> float:
        some = [mark for mark in self._marks if 0.4 * total <= mark[1] <= 0.9 * total]
        (begin, first), (end, last) = some[0], some[-1]
        return (last - first) / (end - begin)


class Utilisation:
    """Of GPU and decoders while something runs, percent, as nvidia-smi tells."""

    def __enter__(self) -> Utilisation:
        names = "utilization.gpu,utilization.decoder"
        command = ["nvidia-smi", f"--query-gpu={names}", "--format=csv,noheader,nounits", "-lms",
                   "500"]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines += list(self._process.stdout)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def highest(self) -> list[int]:
        """Of GPU and decoders, the upper quartile: most of a run is not its middle."""
        rows = [[int(v) for v in line.split(",")] for line in self._lines if line[:1].isdigit()]
        return [sorted(column)[len(column) * 3 // 4] for column in zip(*rows, strict=True)]


def links(path: Path, count: int) -> list[str]:
    """Names of their own: no input is given twice."""
    for place in range(count):
        link = path.with_name(f"{path.stem}-{place}.mp4")
        if not link.exists():
            os.link(path, link)
    return [str(path.with_name(f"{path.stem}-{place}.mp4")) for place in range(count)]


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure_run(inputs: list[str], each: int, processes: int | None, folder: Path, usual: float,
                **settings: Any) -> dict[str, Any]:  # fmt: skip
    if processes == 1:
        each //= 3  # it takes the longer
    marks, began, used = Marks(), time.perf_counter(), cpu_s()
    jsonl = folder / "people.jsonl"
    with Lock.sampled() as lock, Utilisation() as busy:
        report = posert.run(
            inputs, jsonl=jsonl, on_frame=marks.add, backend="onnxruntime-cuda",
            max_frames=each, at_once=len(inputs), processes=processes, **settings,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    assert report.exit_code == 0, [str(tally.error) for tally in report.sources]
    with jsonl.open("rb") as lines:
        assert sum(1 for _ in lines) == report.frames == each * len(inputs)
    return {
        "frames_a_second": round(marks.rate(report.frames)),
        "cores": round((cpu_s() - used) / seconds, 1),
        "seconds_with_start": round(seconds, 1),
        "lock_of_parent": round(lock.share(usual), 2),
        "gpu_and_decoder_percent": busy.highest(),
        "milliseconds": {s.stage: round(s.mean_ms, 2) for s in report.stages},
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    meter = Meter(arguments.seconds, usual_wait())
    pose = posert.Pose("pose-small", "onnxruntime-cuda")
    engine = device_engine(pose.engine)
    assert engine is not None, pose.engine.name
    result: dict[str, Any] = {"gpu": gpus()[0].name, "gpus": len(gpus()), "engine": engine.name}
    for codec in arguments.codecs:
        path = clip(arguments.clips or folder, codec)
        row: dict[str, Any] = {}
        result[codec] = row
        if arguments.limits:
            decode = partial(raw_decoder, packets(path, codec), codec)
            row["nvdec"] = round(meter.rate([decode] * 32)["frames_a_second"])
            row["engine"] = engine_alone(pose, engine, path, meter)
            print(codec, json.dumps(row), flush=True)
        for streams in arguments.streams:
            row[str(streams)] = measure_streams(arguments, path, streams, folder, meter.usual)
    return result


def measure_streams(
    arguments: argparse.Namespace, path: Path, streams: int, folder: Path, usual: float
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for kind in arguments.kinds:
        for processes in arguments.processes:
            running.OneProcess = KINDS[kind]  # type: ignore[misc]
            given = {} if arguments.gpus is None else {"gpus": arguments.gpus}
            found = measure_run(
                links(path, streams), arguments.each, processes or None, folder, usual, **given
            )
            name = f"{kind} {processes or 'auto'}"
            row[name] = found
            print(path.stem, streams, name, json.dumps(found), flush=True)
    return row


def kinds() -> dict[str, Any]:
    from ahead import Ahead

    return {"run": running.OneProcess, "ahead": Ahead}


KINDS = kinds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--streams", type=int, nargs="+", default=[32])
    parser.add_argument("--codecs", nargs="+", default=["h264", "hevc"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3, 4], help="0: auto")
    parser.add_argument("--kinds", nargs="+", default=["run", "ahead"], choices=["run", "ahead"])
    parser.add_argument("--each", type=int, default=1200, help="frames of each stream")
    parser.add_argument("--gpus", help="0,1: of all; else the first")
    parser.add_argument("--limits", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--clips", type=Path, help="a folder to keep the clips in")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        result = measure(arguments, Path(folder))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
