"""onnxruntime's CUDA engines on an NVIDIA GPU: speed against PyTorch, people, memory.

Speed is that of trt_pose's ResNet18 with attention at 224 x 224, weights drawn at random, fp16:

- ``pytorch``: the bare network as a CUDA graph, its input on the device, in the faster of both
  memory layouts;
- ``compact, bound``: from frames in host memory to tensors in host memory through posert's own
  device buffers, from so many threads; ``compact, plain``: the same through ``session.run``;
- ``maps, bound`` and ``maps, plain``: the same in the maps form, which the host has to normalise.

All cases run in turns, so that a busy moment of the machine touches them all; medians of the
turns. Then pose-small's people on the demo clip are held against the CPU's, and many batches of
all sizes must leave memory as it was. Usage: python bench/engine_cuda.py [-o result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from cuda_speed import Cases, speed

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact, peaks_limit
from posert.engine_builder.precision import to_fp16
from posert.manifest import EngineFile
from posert.model_card import ModelCard
from posert.postprocess.parser import parse
from posert.postprocess.tensors import parse_tensors
from posert.postprocess.topology import Topology
from posert.runtime import ort_cuda
from posert.runtime.cuda import Gpu, open_gpu
from posert.runtime.estimator import to_source
from posert.runtime.network_io import NetworkIO
from posert.runtime.ort import open_cpu
from posert.runtime.preprocess import fit
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Images, Letterbox, People, PoseMaps, PoseOutput

DEMO = Path(__file__).parents[1] / "demo" / "walkers.mp4"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The demo clip as pose-small sees it, and how to get from its outputs to people."""

    card: ModelCard
    topology: Topology
    frames: Images
    letterbox: Letterbox

    @classmethod
    def read(cls) -> Clip:
        card = find_card("pose-small")
        images = [frame.image for frame in VideoFile(DEMO).frames(Span(every=5))]
        fitted = [fit(image, card.input, card.input.size, card.outputs.stride) for image in images]
        frames = np.stack([picture for picture, _ in fitted])
        return cls(card, read_topology(card.topology_path), frames, fitted[0][1])

    def people(self, outputs: list[PoseOutput]) -> list[People]:
        return [to_source(self._parse(output), self.letterbox) for output in outputs]

    def _parse(self, output: PoseOutput) -> People:
        if isinstance(output, PoseMaps):
            return parse(output.cmap, output.paf, self.topology, self.card.parser)
        return parse_tensors(output, self.topology, self.card.parser)

    def save(self, form: str, precision: str, folder: Path) -> EngineFile:
        network = onnx.load(str(self.card.onnx_path))
        network = to_fp16(network) if precision == "fp16" else network
        if form == "compact":
            size, stride = self.frames.shape[1:3], self.card.outputs.stride
            most = peaks_limit(
                self.topology, self.card.parser, (size[0] // stride, size[1] // stride)
            )
            settings = replace(self.card.parser, max_peaks=most)
            network = compact(network, self.card, self.topology, settings, size=(size[0], size[1]))
        path = folder / f"{precision}-{form}.onnx"
        onnx.save(network, str(path))
        return EngineFile(path, form, precision)  # type: ignore[arg-type]


def small(gpu: Gpu, arguments: argparse.Namespace) -> dict[str, Any]:
    """pose-small on the demo clip: people against the CPU's, frames a second with the parser."""
    clip = Clip.read()
    expected = clip.people(open_cpu(clip.card, EngineFile(clip.card.onnx_path)).infer(clip.frames))
    agreement, cases, engines = {}, Cases(), []
    with TemporaryDirectory() as folder:
        for precision in ("fp32", "fp16"):
            for form in ("maps", "compact"):
                file = clip.save(form, precision, Path(folder))
                io = NetworkIO.of(clip.card, file)
                engine = ort_cuda.open_bound(onnxruntime, gpu, io, file, None)
                engines.append(engine)
                agreement[f"{precision} {form}"] = compare(
                    clip.people(engine.infer(clip.frames)), expected
                )

                def people(batch: Images, engine: Any = engine) -> list[People]:
                    return clip.people(engine.infer(batch))

                name, batch = f"{precision} {form}, batch 16", clip.frames[:16]
                cases.add(name, engine.infer, batch, engine.workers)
                cases.add(f"{name}, and parser", people, batch, engine.workers)
    rates = cases.run(arguments.turns, arguments.seconds)
    for engine in engines:
        engine.close()
    return {
        "size": clip.frames.shape[1:3],
        "people_as_on_the_cpu": agreement,
        "frames_a_second": rates,
    }


def compare(found: list[People], expected: list[People]) -> dict[str, float]:
    """Frames with as many people and the same keypoints found, and how far these are apart."""
    same, apart = 0, [0.0]
    for a, b in zip(found, expected, strict=True):
        if len(a) == len(b) and (np.isnan(a.keypoints) == np.isnan(b.keypoints)).all():
            same += 1
            distance = np.hypot(*np.moveaxis(a.keypoints[..., :2] - b.keypoints[..., :2], -1, 0))
            apart += distance[np.isfinite(distance)].tolist()
    return {
        "frames": len(expected),
        "same": same,
        "people": sum(map(len, expected)),
        "p99_px": round(float(np.percentile(apart, 99)), 4),
        "worst_px": round(max(apart), 4),
    }


def leaks(gpu: Gpu, arguments: argparse.Namespace) -> dict[str, Any]:
    """Memory before and after many batches of 1 to 4 frames from all threads at once."""
    clip = Clip.read()
    with TemporaryDirectory() as folder:
        file = clip.save("compact", "fp32", Path(folder))
        with gpu.current():
            idle = gpu.memory()[0]
        io = NetworkIO.of(clip.card, file)
        engine = ort_cuda.open_bound(onnxruntime, gpu, io, file, None)
        numbers = count()

        def work(total: int) -> None:
            for _ in range(total):
                engine.infer(clip.frames[: 1 + next(numbers) % 4])

        def batches(total: int) -> None:
            with ThreadPoolExecutor(engine.workers) as pool:
                list(pool.map(work, [total // engine.workers] * engine.workers))

        batches(1000)
        before = memory(gpu)
        batches(arguments.leak_batches)
        after = memory(gpu)
        engine.close()
    with gpu.current():
        left = gpu.memory()[0]
    return {
        "batches": arguments.leak_batches,
        "device_mib_grown": round(before["free"] - after["free"], 2),
        "host_mib_grown": round(after["resident"] - before["resident"], 2),
        "device_mib_kept_after_close": round((idle - left) / 2**20, 2),
    }


def memory(gpu: Gpu) -> dict[str, float]:
    """MiB free on the device, and of this process in the host's memory."""
    with gpu.current():
        free = gpu.memory()[0]
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {"free": free / 2**20, "resident": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}


@contextmanager
def named(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Print the results, and write them where ``-o`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a case and turn")
    parser.add_argument("--leak-batches", type=int, default=10_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    import torch

    onnxruntime.preload_dlls()
    onnxruntime.set_default_logger_severity(3)
    gpu = open_gpu()
    result: dict[str, Any] = {
        "gpu": gpu.name,
        "network": "resnet18_baseline_att, 224 x 224, fp16, random weights",
        "batch": arguments.batch,
        "turns": arguments.turns,
        "onnxruntime": onnxruntime.__version__,
        "pytorch": torch.__version__,
    }
    for name, measure in (("speed", speed), ("pose_small", small), ("memory", leaks)):
        with named(name):
            result[name] = measure(gpu, arguments)
        print(json.dumps(result[name], indent=2), flush=True)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
