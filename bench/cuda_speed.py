"""Frames a second of an engine on an NVIDIA GPU, and of PyTorch: see bench/engine_cuda.py."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact, peaks_limit
from posert.engine_builder.precision import to_fp16
from posert.manifest import EngineFile
from posert.model_card import ModelCard
from posert.runtime import ort_cuda
from posert.runtime.cuda import Gpu
from posert.runtime.network_io import NetworkIO
from posert.training.checkpoint import PoseNetwork
from posert.training.export import export_onnx
from posert.training.networks import build_network
from posert.types import Images, PoseMaps, PoseOutput

SIZE = (224, 224)
Infer = Callable[[Images], object]


def random_network() -> PoseNetwork:
    """ResNet18 with attention; random weights, but activations of natural size."""
    import torch

    torch.manual_seed(0)
    module = build_network("resnet18_baseline_att")
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches
    with torch.no_grad():
        for _ in range(2):
            module.train()(torch.randn(4, 3, *SIZE))
    return PoseNetwork("resnet18_baseline_att", 18, 21, module.eval())


def files(network: PoseNetwork, card: ModelCard, folder: Path) -> dict[str, EngineFile]:
    """``network`` in fp16, in both forms."""
    topology = read_topology(card.topology_path)
    export_onnx(network, folder / "fp32.onnx", SIZE)
    half = to_fp16(onnx.load(str(folder / "fp32.onnx")))
    cells = (SIZE[0] // card.outputs.stride, SIZE[1] // card.outputs.stride)
    settings = replace(card.parser, max_peaks=peaks_limit(topology, card.parser, cells))
    onnx.save(half, str(folder / "maps.onnx"))
    onnx.save(compact(half, card, topology, settings, size=SIZE), str(folder / "compact.onnx"))
    return {
        "maps": EngineFile(folder / "maps.onnx", "maps", "fp16"),
        "compact": EngineFile(folder / "compact.onnx", "compact", "fp16"),
    }


def pytorch(network: PoseNetwork, batch: int, channels_last: bool) -> Callable[[], int]:
    """Replays the bare network's CUDA graph 20 times; returns how many frames that is."""
    import torch

    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if channels_last else torch.contiguous_format
    module = build_network(network.architecture)
    module.load_state_dict(network.module.state_dict())
    module = module.eval().cuda().half().to(memory_format=layout)
    frames = torch.randn(batch, 3, *SIZE, device="cuda", dtype=torch.half)
    frames = frames.contiguous(memory_format=layout)
    with torch.inference_mode():
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(5):
                module(frames)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = module(frames)

    def replay(kept: Any = (module, frames, kept)) -> int:  # the graph uses their memory
        for _ in range(20):
            graph.replay()
        torch.cuda.synchronize()
        return 20 * batch

    return replay


def frames_a_second(work: Callable[[], int], threads: int, seconds: float) -> float:
    """What ``work``, which returns how many frames it did, does from so many threads."""
    end = threading.Event()
    done = [0] * threads

    def loop(number: int) -> None:
        while not end.is_set():
            done[number] += work()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(loop, number) for number in range(threads)]
        time.sleep(0.2)  # until all are under way
        before, began = sum(done), time.perf_counter()
        time.sleep(seconds)
        after, took = sum(done), time.perf_counter() - began
        end.set()
        for future in running:
            future.result()
    return (after - before) / took


class Cases:
    """What is measured: by name, the work, its threads and the frames a second of each turn."""

    def __init__(self) -> None:
        self.work: dict[str, tuple[Callable[[], int], int]] = {}
        self.found: dict[str, list[float]] = {}

    def add(self, name: str, infer: Infer, frames: Images, threads: int) -> None:
        def work() -> int:
            infer(frames)
            return len(frames)

        work()
        self.work[f"{name}, {threads} thread{'s' * (threads > 1)}"] = work, threads

    def run(self, turns: int, seconds: float) -> dict[str, float]:
        """Medians, frames a second."""
        for _ in range(turns):
            for name, (work, threads) in self.work.items():
                rate = frames_a_second(work, threads, seconds)
                self.found.setdefault(name, []).append(rate)
        return {name: round(float(np.median(rates)), 1) for name, rates in self.found.items()}


def speed(gpu: Gpu, arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames a second of all cases, and bytes that leave the device for a frame."""
    card = find_card("trt-pose-resnet18-224")
    network = random_network()
    batch, cases, engines = arguments.batch, Cases(), []
    frames = np.random.default_rng(0).integers(0, 256, (batch, *SIZE, 3), np.uint8)
    leaving = {}
    with TemporaryDirectory() as folder:
        for form, file in files(network, card, Path(folder)).items():
            io = NetworkIO.of(card, file)
            bound = ort_cuda.open_bound(onnxruntime, gpu, io, file, max(arguments.threads))
            plain = ort_cuda.open_plain(onnxruntime, io, file, None)
            engines.append(bound)
            leaving[form] = sum(map(nbytes, bound.infer(frames))) // batch
            for threads in arguments.threads:
                cases.add(f"{form}, bound, batch {batch}", bound.infer, frames, threads)
                cases.add(f"{form}, plain, batch {batch}", plain.infer, frames, threads)
            for threads in (1, max(arguments.threads)):
                cases.add(f"{form}, bound, batch 1", bound.infer, frames[:1], threads)
                cases.add(f"{form}, plain, batch 1", plain.infer, frames[:1], threads)
    for layout in ("channels first", "channels last"):
        replay = pytorch(network, batch, layout == "channels last")
        cases.work[f"pytorch, {layout}"] = replay, 1
    found = cases.run(arguments.turns, arguments.seconds)
    for engine in engines:
        engine.close()
    ours = max(
        rate for name, rate in found.items() if name.startswith(f"compact, bound, batch {batch}")
    )
    theirs = max(rate for name, rate in found.items() if name.startswith("pytorch"))
    return {
        "frames_a_second": found,
        "compact_bound_to_pytorch": round(ours / theirs, 3),
        "bytes_leaving_a_frame": leaving,
        "compact_to_maps_bytes": round(leaving["compact"] / leaving["maps"], 4),
    }


def nbytes(output: PoseOutput) -> int:
    """Of an output's arrays as they leave the device: counts are int32 there."""
    if isinstance(output, PoseMaps):
        return output.cmap.nbytes + output.paf.nbytes
    return output.peaks.nbytes + output.counts.nbytes // 2 + output.link_scores.nbytes
