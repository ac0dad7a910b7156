"""The TensorRT adapter: batches, shapes and refusals, with a made-up TensorRT and the real RTX."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making.gpus import FakeDriver, fake_gpu
from making.networks import dots_network
from making.tensorrt import FakeTensorRT

from posert.engine_builder.card import find_card
from posert.errors import EngineError, ModelError
from posert.manifest import EngineFile
from posert.runtime import trt
from posert.runtime.cuda import Gpu
from posert.runtime.network_io import NetworkIO
from posert.runtime.trt import TrtEngine, make_engine
from posert.types import Images, PoseTensors


@pytest.fixture(scope="module")
def io(tmp_path_factory: pytest.TempPathFactory) -> NetworkIO:
    return NetworkIO(find_card(str(dots_network(tmp_path_factory.mktemp("dots")))), "compact")


@pytest.fixture
def file(tmp_path: Path) -> EngineFile:
    path = tmp_path / "dots.engine"
    path.write_bytes(b"engine")
    return EngineFile(path, "compact", "fp16")


class Made:
    """An engine of a made-up TensorRT, with what lies behind it."""

    def __init__(self, io: NetworkIO, file: EngineFile, workers: int = 2, **library: Any) -> None:
        self.gpu, self.driver = fake_gpu()
        self.library = FakeTensorRT(self.driver, **library)
        self.engine: TrtEngine = make_engine(self.library, self.gpu, io, file, "made", workers)

    def check(self, frames: Images) -> None:
        """The scores are the means of the pictures, each at its place."""
        found = self.engine.infer(frames)
        assert len(found) == len(frames)
        for picture, tensors in zip(frames, found, strict=True):
            assert isinstance(tensors, PoseTensors)
            assert tensors.peaks.shape == (2, 4, 3)
            assert tensors.counts.tolist() == [1, 1]
            np.testing.assert_allclose(tensors.peaks[:, 0, 2], picture.mean(), rtol=1e-6)


def frames(count: int, height: int = 8, width: int = 8) -> Images:
    return np.random.default_rng(count).integers(0, 255, (count, height, width, 3), np.uint8)


def test_batches_and_sizes_of_the_profile(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file)
    assert (made.engine.workers, made.engine.form) == (2, "compact")
    for count, height in ((1, 8), (4, 8), (3, 16), (1, 8), (4, 12)):
        made.check(frames(count, height))
    made.engine.close()
    assert not made.driver.memory
    assert not made.driver.graphs


def test_a_shape_is_run_once_before_it_is_captured(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file, workers=1)
    for _ in range(4):
        made.check(frames(3))
        made.check(frames(2))
    shapes = [batch[0] for batch in made.library.batches]
    assert shapes == [3, 3, 2, 2]  # each: to warm up, to be captured
    assert made.driver.launches == 8


def test_a_batch_beyond_the_profile_is_split(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file)
    made.check(frames(11))
    assert {batch[0] for batch in made.library.batches} == {4, 3}


def test_a_batch_below_the_profile_is_filled_up(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file, profile=((4, 8, 8, 3),) * 3)
    made.check(frames(1))
    made.check(frames(6))
    assert {batch[0] for batch in made.library.batches} == {4}


def test_a_size_outside_the_profile_is_refused(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file)
    expected = "another input size: got 32 x 8 x 3, expected 8 x 8 x 3 to 16 x 8 x 3; .*--size"
    with pytest.raises(EngineError, match=expected):
        made.engine.infer(frames(1, height=32))
    made.check(frames(1))


def test_calls_from_many_threads(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file, workers=3)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: made.check(frames(n % 9 + 1)), range(40)))


def test_a_refused_engine_gives_tensorrts_own_reason(io: NetworkIO, file: EngineFile) -> None:
    file.path.write_bytes(b"of another version")
    with pytest.raises(EngineError, match="Serialization assertion stdVersionRead failed") as e:
        Made(io, file)
    assert "\n" not in str(e.value)
    assert str(file.path) in str(e.value)


def test_a_missing_engine_is_refused(io: NetworkIO, file: EngineFile) -> None:
    file.path.unlink()
    with pytest.raises(EngineError, match=r"dots\.engine: cannot be read: No such file"):
        Made(io, file)


def test_the_engine_of_another_network_is_refused(io: NetworkIO, file: EngineFile) -> None:
    with pytest.raises(ModelError, match=r"got \['frames'\] -> \['peaks', 'counts'\]"):
        Made(io, file, names=("frames", "peaks", "counts"))


def test_a_type_that_numpy_lacks_is_refused(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file)
    made.library.input_type = "BF16"
    with pytest.raises(EngineError, match="'frames': got BF16"):
        made.engine.infer(frames(1))


def test_memory_for_fewer_contexts_gives_fewer_slots(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file, workers=3, contexts=2)
    assert made.engine.workers == 2
    made.check(frames(5))


@pytest.mark.parametrize("short", ["contexts", "sharing"])
def test_memory_for_one_context_does_for_shapes_in_turn(
    io: NetworkIO, file: EngineFile, short: str
) -> None:
    made = Made(io, file, **{short: 1})
    assert made.engine.workers == 1
    for count in (1, 3, 2, 3, 1, 1):
        made.check(frames(count))
    assert len(made.driver.graphs) == 1


def test_each_shape_has_a_context_of_its_own(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file, workers=1)
    for count in (4, 2, 3, 4, 2, 3):
        made.check(frames(count))
    assert len(made.library.alive) == len(made.driver.graphs) == 3
    for height in (9, 10, 11, 12, 13, 14, 15, 16):  # larger ones: of the others nothing is kept
        made.check(frames(1, height=height))
        made.check(frames(4, height=height))
    assert len(made.library.alive) <= len(made.driver.graphs) + 1
    made.engine.close()
    assert not made.library.alive


def test_a_profile_that_no_context_may_have_is_an_error(io: NetworkIO, file: EngineFile) -> None:
    with pytest.raises(EngineError, match="no profile: Profile 0 has been chosen"):
        Made(io, file, sharing=0)


def test_memory_for_no_context_is_an_error(io: NetworkIO, file: EngineFile) -> None:
    with pytest.raises(EngineError, match="no execution context: Requested amount of GPU memory"):
        Made(io, file, contexts=0)


def test_a_failed_run_gives_tensorrts_own_reason(io: NetworkIO, file: EngineFile) -> None:
    made = Made(io, file)
    made.library.failing = "Cask (Cask convolution execution)"
    with pytest.raises(EngineError, match="TensorRT failed: Cask"):
        made.engine.infer(frames(1))
    made.library.failing = ""
    made.check(frames(1))


def test_missing_tensorrt_says_so(
    io: NetworkIO, file: EngineFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError, match="TensorRT is not installed"):
        trt.open_tensorrt(io.card, file)
    with pytest.raises(EngineError, match="TensorRT-RTX is not installed"):
        trt.open_tensorrt_rtx(io.card, file)


def test_the_factory_opens_on_the_first_gpu(
    io: NetworkIO, file: EngineFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, driver = fake_gpu()
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT(driver))
    monkeypatch.setattr(trt, "open_gpu", lambda: gpu)
    engine = trt.open_tensorrt(io.card, file, workers=1)
    assert engine.name == "TensorRT 10.3.0 (Fake GPU, fp16, compact form)"
    assert len(engine.infer(frames(2))) == 2


def test_the_real_tensorrt_rtx_says_why_it_refuses(io: NetworkIO, file: EngineFile) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    file.path.write_bytes(b"no engine at all" * 100)
    gpu: Gpu = fake_gpu(FakeDriver().total)[0]
    with pytest.raises(EngineError, match=r"cannot run here: .*magicTag") as e:
        make_engine(rtx, gpu, io, file, "made", 1)
    assert "\n" not in str(e.value)
