"""Engines say the same of pictures on the device as of those that come from the host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from making.device_pictures import noise, on_host, put
from making.gpus import fake_gpu
from making.networks import dots_network
from making.tensorrt import FakeTensorRT
from test_ort_cuda import FakeOrt

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact
from posert.errors import EngineError
from posert.manifest import EngineFile
from posert.model_card import ModelCard
from posert.postprocess.tensors import parse_tensors
from posert.runtime import ort_cuda
from posert.runtime.cuda import Gpu
from posert.runtime.device.colours import Colours
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.device.placing import Placed
from posert.runtime.engine import device_engine, infer_pictures
from posert.runtime.estimator import to_source
from posert.runtime.network_io import NetworkIO
from posert.runtime.preprocess import fit
from posert.runtime.sources.nvcodec import NvcodecFile
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.runtime.trt import TrtEngine, make_engine
from posert.types import Letterbox, PoseTensors

DEMO = Path(__file__).parents[2] / "demo" / "walkers.mp4"
COLOURS = Colours(1, False)


def compact_file(card: ModelCard, folder: Path) -> EngineFile:
    path = folder / "compact.onnx"
    topology = read_topology(card.topology_path)
    onnx.save(compact(onnx.load(card.onnx_path), card, topology, card.parser), path)
    return EngineFile(path, "compact")


def check_ort(ort: Any, gpu: Gpu, card: ModelCard, file: EngineFile) -> None:
    """Pictures of several sizes, from several threads."""
    engine = ort_cuda.open_bound(ort, gpu, NetworkIO.of(card, file), file, workers=2)
    able, size = device_engine(engine), card.input.size
    assert able is not None

    def check(count: int) -> None:
        given = [noise(*((96, 64), (64, 96))[i % 2], seed=count + i) for i in range(count)]
        found = infer_pictures(able, [put(gpu, nv12, COLOURS) for nv12 in given], card, size)
        assert len(found) == count
        for nv12, (output, letterbox) in zip(given, found, strict=True):
            frame, wanted = fit(on_host(nv12, COLOURS), card.input, size, card.outputs.stride)
            assert letterbox == wanted
            (other,) = engine.infer(frame[None])
            assert isinstance(output, PoseTensors)
            assert isinstance(other, PoseTensors)
            np.testing.assert_allclose(output.counts, other.counts, atol=1)  # may round by a level

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(check, (1, 2, 5, 3)))
    engine.close()


def test_onnxruntime(dots: Path, tmp_path: Path) -> None:
    card = find_card(str(dots))
    gpu, driver = fake_gpu()
    check_ort(FakeOrt(driver), gpu, card, compact_file(card, tmp_path))


def test_the_maps_form_takes_none(dots: Path) -> None:
    card = find_card(str(dots))
    gpu, driver = fake_gpu()
    file = EngineFile(card.onnx_path)
    engine = ort_cuda.open_bound(FakeOrt(driver), gpu, NetworkIO.of(card, file), file, workers=1)
    assert device_engine(engine) is None
    engine.close()


class MadeTensorRT:
    """An engine of a made-up TensorRT for 8 to 16 lines of 8 pixels, batches of up to 4."""

    def __init__(self, tmp_path: Path, **library: Any) -> None:
        card = find_card(str(dots_network(tmp_path / "dots")))
        file = EngineFile(tmp_path / "dots.engine", "compact", "fp16")
        file.path.write_bytes(b"engine")
        self.gpu, self.driver = fake_gpu()
        self.library = FakeTensorRT(self.driver, **library)
        io = NetworkIO(card, "compact")
        self.engine: TrtEngine = make_engine(self.library, self.gpu, io, file, "made", 2)

    def check(self, count: int, height: int = 8) -> None:
        """The scores are the means of the pictures, each at its place."""
        given = [noise(8, height, seed=i) for i in range(count)]
        size = (height, 8)
        placed = [
            Placed(put(self.gpu, nv12, COLOURS), size, size, Letterbox(1, 1, 1)) for nv12 in given
        ]
        found = self.engine.infer_on_device(placed)
        assert len(found) == count
        for nv12, tensors in zip(given, found, strict=True):
            assert isinstance(tensors, PoseTensors)
            mean = on_host(nv12, COLOURS).mean()
            np.testing.assert_allclose(tensors.peaks[:, 0, 2], mean, rtol=1e-6)


@pytest.mark.parametrize("least", [1, 4])
def test_tensorrt(tmp_path: Path, least: int) -> None:
    made = MadeTensorRT(tmp_path, profile=((least, 8, 8, 3), (4, 8, 8, 3), (4, 16, 8, 3)))
    assert device_engine(made.engine) is made.engine
    for count, height in ((1, 8), (3, 16), (11, 8), (3, 16), (3, 16)):
        made.check(count, height)
    with pytest.raises(EngineError, match="another input size"):
        made.check(1, 32)
    made.engine.close()


def test_tensorrts_graph_is_replayed_behind_the_kernel(tmp_path: Path) -> None:
    made = MadeTensorRT(tmp_path)
    for _ in range(4):
        made.check(3)
    assert made.driver.launches == 4
    assert len(made.library.batches) == 2  # to warm up, to be captured
    made.engine.infer(np.zeros((3, 8, 8, 3), np.uint8))  # the same shape from the host
    assert len(made.library.batches) == 4
    made.check(3)
    assert len(made.library.batches) == 4


@pytest.mark.gpu
class TestOnAGpu:
    def test_onnxruntime(self, gpu: Gpu, dots: Path, tmp_path: Path) -> None:
        card = find_card(str(dots))
        check_ort(onnxruntime, gpu, card, compact_file(card, tmp_path))

    def test_the_same_people_in_the_demo_clip(self, gpu: Gpu, tmp_path: Path) -> None:
        card = find_card("pose-small")
        topology, size = read_topology(card.topology_path), card.input.size
        file = compact_file(card, tmp_path)
        engine = ort_cuda.open_bound(onnxruntime, gpu, NetworkIO.of(card, file), file, workers=1)
        span = Span(every=25)
        ours, theirs = NvcodecFile(DEMO), VideoFile(DEMO)
        for frame, other in zip(ours.frames(span), theirs.frames(span), strict=True):
            assert isinstance(frame.picture, Nv12Picture)
            ((output, letterbox),) = infer_pictures(engine, [frame.picture], card, size)
            fitted, _ = fit(other.image, card.input, size, card.outputs.stride)
            (wanted,) = engine.infer(fitted[None])
            found, expected = (
                to_source(parse_tensors(tensors, topology, card.parser), letterbox)
                for tensors in (output, wanted)
                if isinstance(tensors, PoseTensors)
            )
            assert len(found) == len(expected)
            apart = np.abs(found.keypoints[..., :2] - expected.keypoints[..., :2])
            assert np.nanpercentile(apart, 95) < 0.5  # pixels of 1280 x 720; weak peaks may jump
        ours.close()
        engine.close()
