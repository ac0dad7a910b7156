"""onnxruntime's CUDA provider: with our own buffers it says what onnxruntime says on the CPU."""

from __future__ import annotations

import logging
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from making.gpus import FakeDriver, fake_gpu
from making.pictures import nose_of_frame, picture

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import compact
from posert.errors import EngineError
from posert.manifest import EngineFile
from posert.model_card import ModelCard
from posert.runtime import ort_cuda
from posert.runtime.cuda import Gpu
from posert.runtime.network_io import NetworkIO
from posert.runtime.ort import open_cpu
from posert.types import Images, PoseMaps, PoseOutput, PoseTensors


@pytest.fixture(scope="module")
def card(dots: Path) -> ModelCard:
    return find_card(str(dots))


@pytest.fixture(scope="module", params=["maps", "compact"])
def file(
    request: pytest.FixtureRequest, card: ModelCard, tmp_path_factory: pytest.TempPathFactory
) -> EngineFile:
    if request.param == "maps":
        return EngineFile(card.onnx_path)
    path = tmp_path_factory.mktemp("compact") / "dots.onnx"
    topology = read_topology(card.topology_path)
    onnx.save(compact(onnx.load(card.onnx_path), card, topology, card.parser), path)
    return EngineFile(path, "compact")


def frames(count: int, seed: int = 0) -> Images:
    return np.stack([picture(noses=[nose_of_frame(5 * seed + i)]) for i in range(count)])


class FakeOrt:
    """onnxruntime with a CUDA provider that is its CPU provider, on a made-up GPU."""

    RunOptions = onnxruntime.RunOptions
    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, driver: FakeDriver) -> None:
        self.driver = driver
        self.broken = False
        self.sessions: list[FakeSession] = []

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, path: str, options: Any, providers: list[Any]) -> FakeSession:  # noqa: N802
        self.sessions.append(FakeSession(self, onnxruntime.InferenceSession(path, options)))
        return self.sessions[-1]


class FakeSession:
    def __init__(self, ort: FakeOrt, session: Any) -> None:
        self._ort, self._session = ort, session
        self.shapes: list[tuple[int, ...]] = []  # of the input, run by run

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"] if self._ort.broken else ["CUDAExecutionProvider"]

    def run(self, names: list[str], feeds: dict[str, Any]) -> Any:
        self.shapes += [feed.shape for feed in feeds.values()]
        return self._session.run(names, feeds)

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def run_with_iobinding(self, io: FakeBinding) -> None:
        driver = self._ort.driver
        feeds = {n: driver.read(at, shape, dtype) for n, (at, shape, dtype) in io.inputs.items()}
        values = self.run(list(io.outputs), feeds)
        for (at, shape, dtype), value in zip(io.outputs.values(), values, strict=True):
            assert (value.shape, value.dtype) == (tuple(shape), dtype)
            driver.write(at, value)


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: dict[str, tuple[int, Any, Any]] = {}
        self.outputs: dict[str, tuple[int, Any, Any]] = {}

    def bind_input(
        self, name: str, kind: str, device: int, dtype: Any, shape: Any, at: int
    ) -> None:
        assert (kind, device) == ("cuda", 0)
        self.inputs[name] = at, shape, dtype

    def bind_output(
        self, name: str, kind: str, device: int, dtype: Any, shape: Any, at: int
    ) -> None:
        assert (kind, device) == ("cuda", 0)
        self.outputs[name] = at, shape, dtype


@pytest.fixture
def fake() -> tuple[FakeOrt, Gpu]:
    gpu, driver = fake_gpu()
    return FakeOrt(driver), gpu


def test_bound_buffers_hold_what_a_plain_run_returns(
    fake: tuple[FakeOrt, Gpu], card: ModelCard, file: EngineFile
) -> None:
    engine = ort_cuda.open_bound(*fake, NetworkIO(card, file.form), file, workers=2)
    assert (engine.workers, engine.form) == (2, file.form)
    check(engine, open_cpu(card, file, 1), tolerance=0)
    engine.close()
    assert not fake[0].driver.memory
    with pytest.raises(EngineError, match="was closed"):
        engine.infer(frames(1))


@pytest.mark.parametrize("pycuda", [True, False])
def test_a_session_sees_one_shape_and_there_are_few(
    fake: tuple[FakeOrt, Gpu], card: ModelCard, file: EngineFile, pycuda: bool
) -> None:
    ort, gpu = fake
    io = NetworkIO.of(card, file)
    if pycuda:
        engine: Any = ort_cuda.open_bound(ort, gpu, io, file, workers=2)
    else:
        engine = ort_cuda.open_plain(ort, io, file, workers=2)
    reference = open_cpu(card, file, 1)
    for count in (1, 3, 4, 2, 5, 3, 1, 8, 7):
        same(engine.infer(frames(count)), reference.infer(frames(count)), tolerance=0)
    shapes = [set(session.shapes) for session in ort.sessions]
    assert all(len(seen) == 1 for seen in shapes)
    batches = sorted(shape[0] for seen in shapes for shape in seen)
    assert batches == [1, 2, 4, 8]


def test_sessions_of_many_shapes_do_not_pile_up(
    fake: tuple[FakeOrt, Gpu], card: ModelCard, file: EngineFile
) -> None:
    engine = ort_cuda.open_bound(*fake, NetworkIO.of(card, file), file, workers=1)
    alive = [weakref.ref(session) for session in fake[0].sessions]
    for height in range(32, 72, 4):
        engine.infer(np.zeros((1, height, 64, 3), np.uint8))
        alive += [weakref.ref(session) for session in fake[0].sessions]
        fake[0].sessions.clear()
    assert len({id(session) for ref in alive if (session := ref())}) == 8
    engine.close()


def test_a_failing_run_gives_onnxruntimes_own_reason(
    fake: tuple[FakeOrt, Gpu], card: ModelCard, file: EngineFile
) -> None:
    engine = ort_cuda.open_bound(*fake, NetworkIO(card, file.form), file, workers=1)
    with pytest.raises(EngineError, match=r"onnxruntime \(CUDA\) failed: \[ONNXRuntimeError\]"):
        engine.infer(np.zeros((1, 64, 96, 4), np.uint8)[:, :0])
    assert len(engine.infer(frames(1))) == 1


def test_a_provider_that_does_not_start_is_refused(
    fake: tuple[FakeOrt, Gpu], card: ModelCard, file: EngineFile
) -> None:
    fake[0].broken = True
    with pytest.raises(EngineError, match="does not start here"):
        ort_cuda.open_bound(*fake, NetworkIO(card, file.form), file, workers=1)


@pytest.mark.parametrize("pycuda", [True, False])
def test_the_compact_form_is_bound_where_pycuda_is(
    fake: tuple[FakeOrt, Gpu],
    card: ModelCard,
    file: EngineFile,
    pycuda: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def open_gpu() -> Gpu:
        if not pycuda:
            raise EngineError("pycuda is not installed")
        return fake[1]

    monkeypatch.setattr(ort_cuda, "onnxruntime", lambda: fake[0])
    monkeypatch.setattr(ort_cuda, "open_gpu", open_gpu)
    with caplog.at_level(logging.INFO):
        engine = ort_cuda.open_cuda(card, file)
    compact_form = file.form == "compact"
    assert isinstance(engine, ort_cuda.BoundOrtEngine) == (pycuda and compact_form)
    slower = "which is slower: pycuda is not installed"
    assert (slower in caplog.text) == (compact_form and not pycuda)
    check(engine, open_cpu(card, file, 1), tolerance=0)


def test_onnxruntime_without_cuda_says_what_to_install(card: ModelCard, file: EngineFile) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has it")
    with pytest.raises(EngineError, match=r"no CUDA provider; .*onnxruntime-gpu"):
        ort_cuda.open_cuda(card, file)


@pytest.mark.gpu
class TestOnAGpu:
    @pytest.fixture
    def engine(
        self, gpu: Gpu, card: ModelCard, file: EngineFile
    ) -> Iterator[ort_cuda.BoundOrtEngine]:
        onnxruntime.preload_dlls()
        io = NetworkIO.of(card, file)
        engine = ort_cuda.open_bound(onnxruntime, gpu, io, file, workers=3)
        yield engine
        engine.close()

    def test_it_says_what_the_cpu_says(
        self, engine: ort_cuda.BoundOrtEngine, card: ModelCard, file: EngineFile
    ) -> None:
        check(engine, open_cpu(card, file, 1), tolerance=2e-3)  # TF32 has 10 bits of fraction

    def test_threads_get_their_own_results(self, engine: ort_cuda.BoundOrtEngine) -> None:
        batches = [frames(n % 5 + 1, seed=n) for n in range(40)]
        alone = [engine.infer(batch) for batch in batches]
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(engine.infer, batches))
        for a, b in zip(alone, together, strict=True):
            same(a, b, tolerance=0)

    def test_a_program_that_closes_nothing_ends_quietly(
        self, gpu: Gpu, card: ModelCard, file: EngineFile
    ) -> None:
        program = f"""
import numpy as np
from pathlib import Path
from posert.engine_builder.card import find_card
from posert.manifest import EngineFile
from posert.runtime.ort_cuda import open_cuda
file = EngineFile(Path({str(file.path)!r}), {file.form!r})
engine = open_cuda(find_card({str(card.folder)!r}), file)
print(len(engine.infer(np.zeros((2, 64, 96, 3), np.uint8))))
"""
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (ended.stdout, ended.stderr, ended.returncode) == ("2\n", "", 0)

    def test_many_batches_leave_no_memory_behind(
        self, engine: ort_cuda.BoundOrtEngine, gpu: Gpu
    ) -> None:
        batches = [frames(n + 1) for n in range(4)]
        for batch in batches[::-1]:
            engine.infer(batch)
        with gpu.current():
            before = gpu.memory()[0]
        for _ in range(100):
            for batch in batches:
                engine.infer(batch)
        with gpu.current():
            assert gpu.memory()[0] == before


def check(engine: Any, reference: Any, tolerance: float) -> None:
    for seed, count in enumerate((2, 1, 5, 2)):
        batch = frames(count, seed)
        same(engine.infer(batch), reference.infer(batch), tolerance)


def same(found: list[PoseOutput], expected: list[PoseOutput], tolerance: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        for name, value in tensors(b).items():
            np.testing.assert_allclose(tensors(a)[name], value, atol=tolerance, err_msg=name)


def tensors(output: PoseOutput) -> Mapping[str, Any]:
    if isinstance(output, PoseMaps):
        return {"cmap": output.cmap, "paf": output.paf}
    assert isinstance(output, PoseTensors)
    return {"peaks": output.peaks, "counts": output.counts, "links": output.link_scores}
