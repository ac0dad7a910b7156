"""How many 1080p channels one GPU takes, data only: NVDEC, our kernel, the engine and the parser.

For each codec and number of streams, frames a second of 1080p video:

- ``nvdec``: decoding alone, from packets in memory, by as many decoders as there are streams, a
  thread each: what the hardware can do;
- ``decoded``: the same through our reader of files, by a few threads that go round them;
- ``engine``: and the network on the pictures where they are, in batches;
- ``parsed``: and the people of each;
- ``run``: ``posert.run`` from files to one JSONL file.

``lock`` is how often a thread that wakes finds Python's lock taken for longer than usual. The clips
are the demo clip, scaled up and encoded to 4 Mbit/s, again and again.
Usage: python bench/channels.py [-o result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

import posert
from posert.gpu import gpus
from posert.runtime.cuda import open_gpu
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.engine import DeviceEngine, device_engine, infer_pictures
from posert.runtime.estimator import to_source
from posert.runtime.sources.nvcodec import NvcodecFile
from posert.runtime.sources.nvdec import Decoder
from posert.runtime.sources.source import Span
from posert.types import Frame

DEMO = Path(__file__).parents[1] / "demo" / "walkers.mp4"
CODECS = {"h264": "libx264", "hevc": "libx265"}
SPEED = {"libx264": {"preset": "veryfast"}, "libx265": {"preset": "ultrafast"}}
RATE = 30

Step = Callable[[], int]  # does some work and returns how many frames it was


def clip(folder: Path, codec: str, times: int = 5) -> Path:
    """The demo clip at 1080p, ``times`` over; encoded once for a folder."""
    once, path = folder / f"{codec}-once.mp4", folder / f"{codec}.mp4"
    if not once.exists():
        encode(once, CODECS[codec])
    with av.open(str(path), "w") as target:
        stream: Any = None
        for turn in range(times):
            with av.open(str(once)) as source:
                template = source.streams.video[0]
                stream = stream or target.add_stream_from_template(template)
                shift = turn * round(template.frames / RATE / (template.time_base or 1))
                for packet in source.demux(template):
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = stream
                        target.mux(packet)
    return path


def encode(path: Path, encoder: str) -> None:
    with av.open(str(DEMO)) as source, av.open(str(path), "w") as target:
        stream: Any = target.add_stream(encoder, rate=RATE, options=SPEED[encoder])
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for pts, frame in enumerate(source.decode(video=0)):
            scaled = frame.reformat(1920, 1080, "yuv420p")
            scaled.pts, scaled.time_base = pts, Fraction(1, RATE)
            target.mux(stream.encode(scaled))
        target.mux(stream.encode(None))


@dataclass(eq=False)
class Lock:
    """How often a thread that wakes finds Python's lock taken."""

    waits: list[float] = field(default_factory=list)
    ended: bool = False

    @classmethod
    @contextmanager
    def sampled(cls) -> Iterator[Lock]:
        lock = cls()
        thread = threading.Thread(target=lock._sample, daemon=True)
        thread.start()
        try:
            yield lock
        finally:
            lock.ended = True
            thread.join()

    def _sample(self) -> None:
        while not self.ended:
            start = time.perf_counter()
            time.sleep(0.002)
            self.waits.append(time.perf_counter() - start - 0.002)

    def share(self, usual: float) -> float:
        return sum(wait > usual for wait in self.waits) / max(1, len(self.waits))


def usual_wait() -> float:
    """What a thread waits at most, nearly always, where no other one runs."""
    with Lock.sampled() as lock:
        time.sleep(1)
    return max(statistics.quantiles(lock.waits, n=50)[-1], 0.0002)


@dataclass(frozen=True, slots=True)
class Meter:
    seconds: float
    usual: float  # wait for the lock

    def rate(self, makers: list[Callable[[ExitStack], Step]]) -> dict[str, float]:
        """Frames a second of all steps together, each made and repeated in a thread."""
        counts, stop = [0] * len(makers), threading.Event()
        ready = threading.Barrier(len(makers) + 1)
        errors: list[BaseException] = []

        def work(place: int) -> None:
            try:
                with ExitStack() as stack:
                    step = makers[place](stack)
                    step()
                    ready.wait()
                    while not stop.is_set():
                        counts[place] += step()
            except BaseException as e:  # noqa: BLE001  told below
                errors.append(e)
                ready.abort()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(makers))]
        for thread in threads:
            thread.start()
        try:
            ready.wait()
            time.sleep(0.7)
            with Lock.sampled() as lock:
                before, start, used = sum(counts), time.perf_counter(), time.process_time()
                time.sleep(self.seconds)
                frames, seconds = sum(counts) - before, time.perf_counter() - start
                cores = (time.process_time() - used) / seconds
        except threading.BrokenBarrierError:
            raise errors[0] from None
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]
        return {
            "frames_a_second": round(frames / seconds),
            "cores": round(cores, 2),
            "lock": round(lock.share(self.usual), 2),
        }


def packets(path: Path, codec: str) -> list[np.ndarray[Any, Any]]:
    """All of a clip, as the decoder takes them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        to_annexb = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        parts = [
            part for packet in container.demux(stream) if packet.size
            for part in to_annexb.filter(packet)
        ]  # fmt: skip
        return [np.frombuffer(bytes(part), np.uint8) for part in parts]


def raw_decoder(data: list[np.ndarray[Any, Any]], codec: str, stack: ExitStack) -> Step:
    decoder = Decoder(open_gpu(), codec.upper())
    stack.callback(decoder.close)
    given = cycle((part.ctypes.data, part.nbytes) for part in data)
    number = iter(range(1 << 40))
    return lambda: sum(len(decoder.decode(*next(given), next(number))) for _ in range(16))


def endless(path: Path) -> Iterator[Frame]:
    while True:
        with closing(NvcodecFile(path)) as source:
            yield from source.frames(Span())


def readers(path: Path, streams: int, threads: int) -> list[list[Iterator[Frame]]]:
    """The streams that each thread goes round."""
    return [
        [endless(path) for _ in range(place, streams, threads)]
        for place in range(min(threads, streams))
    ]


@dataclass(frozen=True, slots=True)
class Model:
    pose: posert.Pose
    engine: DeviceEngine
    batch: int

    def step(self, sources: list[Iterator[Frame]], what: str, stack: ExitStack) -> Step:
        """Takes a batch's frames in turn from ``sources`` and works on them."""
        for source in sources:
            stack.callback(source.close)  # type: ignore[attr-defined]
        turns, estimator = cycle(sources), self.pose.estimator

        def step() -> int:
            frames = [next(next(turns)) for _ in range(self.batch)]
            pictures = [f.picture for f in frames if isinstance(f.picture, Nv12Picture)]
            if what != "decoded":
                found = infer_pictures(self.engine, pictures, self.pose.card, estimator.size)
                if what == "parsed":
                    people = estimator.parse([output for output, _ in found])
                    for person, (_, box) in zip(people, found, strict=True):
                        to_source(person, box)
            return len(frames)

        return step


def measure_run(
    path: Path, streams: int, frames: int, folder: Path, precision: str, usual: float
) -> dict[str, Any]:
    """``posert.run`` of files to JSONL, from two fifths of the frames to nine tenths of them.

    What comes before is the engine's first run of each size of batch.
    """
    each = min(max(60, frames // streams), 1500)  # as long as the clip
    total = each * streams
    marks: list[float] = []
    count = 0
    inputs = []
    for place in range(streams):  # names of their own: no input is given twice
        link = folder / f"{path.stem}-{place}.mp4"
        if not link.exists():
            os.link(path, link)
        inputs.append(link)

    def on_frame(tally: Any) -> None:
        nonlocal count
        count += 1
        if count in (total * 2 // 5, total * 9 // 10):
            marks.append(time.perf_counter())

    with Lock.sampled() as lock:
        report = posert.run(
            inputs,
            jsonl=folder / "people.jsonl",
            on_frame=on_frame,
            backend="onnxruntime-cuda",
            precision=precision,
            max_frames=each,
            at_once=streams,
        )
    rate = (total * 9 // 10 - total * 2 // 5) / (marks[1] - marks[0])
    return {
        "frames_a_second": round(rate),
        "frames": report.frames,
        "people": report.people,
        "lock": round(lock.share(usual), 2),
        "milliseconds": {stage.stage: round(stage.p50_ms, 2) for stage in report.stages},
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    meter = Meter(arguments.seconds, usual_wait())
    pose = posert.Pose("pose-small", "onnxruntime-cuda", precision=arguments.precision)
    engine = device_engine(pose.engine)
    assert engine is not None, pose.engine.name
    result: dict[str, Any] = {"gpu": gpus()[0].name, "engine": pose.engine.name}
    for codec in arguments.codecs:
        path = clip(folder, codec)
        data = packets(path, codec)
        rows = result[codec] = {}
        for streams in arguments.streams:
            row = rows[streams] = {}
            row["nvdec"] = meter.rate([partial(raw_decoder, data, codec)] * streams)
            model = Model(pose, engine, min(arguments.batch, 8 * streams))
            for what in arguments.stages:
                shares = readers(path, streams, arguments.threads)
                row[what] = meter.rate([partial(model.step, share, what) for share in shares])
            if streams in arguments.run:
                row["run"] = measure_run(
                    path, streams, arguments.frames, folder, arguments.precision, meter.usual
                )
            print(codec, streams, json.dumps(row), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--frames", type=int, default=12_000, help="of posert.run, all together")
    parser.add_argument("--stages", nargs="*", default=["decoded", "engine", "parsed"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--clips", type=Path, help="a folder to keep the clips in")
    parser.add_argument("--switch", type=float, help="Python's switch interval, seconds")
    parser.add_argument("--run", type=int, nargs="*", default=[1, 8, 32, 64], help="streams of it")
    arguments = parser.parse_args()
    if arguments.switch:
        sys.setswitchinterval(arguments.switch)
    with TemporaryDirectory() as folder:
        result = measure(arguments, arguments.clips or Path(folder))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
