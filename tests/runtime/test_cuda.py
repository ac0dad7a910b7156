"""Device memory, streams and graphs, on a made-up GPU and, where there is one, on a real one."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from making.gpus import CudaError, FakeDriver, fake_gpu

from posert.errors import EngineError
from posert.runtime import cuda
from posert.runtime.cuda import Gpu


@pytest.fixture(autouse=True)
def no_gpu_kept() -> None:
    cuda.open_gpu.cache_clear()


def install(patch: pytest.MonkeyPatch, driver: Any) -> None:
    package = ModuleType("pycuda")
    package.driver = driver  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "pycuda", package)
    patch.setitem(sys.modules, "pycuda.driver", driver)


def test_missing_pycuda_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(EngineError, match="pycuda is not installed; pip install pycuda"):
        cuda.open_gpu()


def test_no_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver()

    def init() -> None:
        raise CudaError("cuInit failed: no CUDA-capable device is detected")

    monkeypatch.setattr(driver, "init", init)
    install(monkeypatch, driver)
    with pytest.raises(EngineError, match=r"no NVIDIA GPU can be used here: .*no CUDA-capable"):
        cuda.open_gpu()


def test_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeDriver(devices=2))
    with pytest.raises(EngineError, match="no such NVIDIA GPU: got 2, expected below 2"):
        cuda.open_gpu(2)


def test_short_memory_says_how_much_was_asked_for() -> None:
    gpu, driver = fake_gpu(total=10 << 20)
    with gpu.current():
        kept = gpu.device_buffer(6 << 20)
        with pytest.raises(EngineError, match=r"no 5\.0 MiB .* got 4\.0 MiB free of 10\.0 MiB"):
            gpu.device_buffer(5 << 20)
        kept.close()
    assert not driver.memory


def test_error_of_cuda_is_ours_and_leaves_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, driver = fake_gpu()
    with (
        pytest.raises(EngineError, match="CUDA on Fake GPU: an illegal memory access"),
        gpu.current(),
    ):
        raise CudaError("an illegal memory access\nand a second line")
    assert driver.depth == 0


def test_bytes_go_there_and_back() -> None:
    there_and_back(fake_gpu()[0])


def test_graph_runs_what_was_captured_on_the_bytes_of_now() -> None:
    replay(fake_gpu()[0])


def test_failed_capture_leaves_the_stream_usable() -> None:
    failed_capture(fake_gpu()[0])


def test_graphs_are_given_back() -> None:
    gpu, driver = fake_gpu()
    with gpu.current():
        graph = gpu.stream().capture(lambda: None)
        assert len(driver.graphs) == 1
        graph.close()
        assert not driver.graphs
        with pytest.raises(EngineError, match=r"cuGraphExecDestroy: invalid argument \(1\)"):
            graph.close()


@pytest.mark.gpu
class TestOnAGpu:
    def test_bytes_go_there_and_back(self, gpu: Gpu) -> None:
        there_and_back(gpu)

    def test_graph_runs_what_was_captured_on_the_bytes_of_now(self, gpu: Gpu) -> None:
        replay(gpu)

    def test_failed_capture_leaves_the_stream_usable(self, gpu: Gpu) -> None:
        failed_capture(gpu)

    def test_short_memory_says_how_much_was_asked_for(self, gpu: Gpu) -> None:
        with gpu.current(), pytest.raises(EngineError, match=r"has no 104857600\.0 MiB"):
            gpu.device_buffer(100 << 40)

    def test_threads_use_and_free_what_others_made(self, gpu: Gpu) -> None:
        with gpu.current():
            stream, buffer = gpu.stream(), gpu.device_buffer(4096)
            free = gpu.memory()[0]
        failures: list[BaseException] = []

        def work() -> None:
            try:
                there_and_back(gpu)
                with gpu.current():
                    stream.synchronize()
            except BaseException as e:  # noqa: BLE001  the main thread shows it
                failures.append(e)

        def close() -> None:
            with gpu.current():
                buffer.close()
                stream.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        closer = threading.Thread(target=close)
        closer.start()
        closer.join()
        assert not failures
        with gpu.current():
            assert gpu.memory()[0] >= free


def there_and_back(gpu: Gpu) -> None:
    values = np.random.default_rng(0).normal(size=(3, 50, 7)).astype(np.float32)
    with gpu.current():
        stream, device = gpu.stream(), gpu.device_buffer(values.nbytes)
        source, target = gpu.pinned_buffer(values.nbytes), gpu.pinned_buffer(values.nbytes + 100)
        source.view(values.shape, np.float32)[...] = values
        stream.upload(device, source.view(values.shape, np.float32))
        found = target.view(values.shape, np.float32)
        stream.download(found, device)
        stream.synchronize()
        np.testing.assert_array_equal(found, values)
        del found
        for buffer in (device, source, target):
            buffer.close()
        stream.close()


def replay(gpu: Gpu) -> None:
    with gpu.current():
        stream, device = gpu.stream(), gpu.device_buffer(4)
        source, target = gpu.pinned_buffer(4), gpu.pinned_buffer(4)
        given, found = (buffer.view((4,), np.uint8) for buffer in (source, target))
        found[:] = 0

        def copy() -> None:
            stream.upload(device, given)
            stream.download(found, device)

        graph = stream.capture(copy)
        stream.synchronize()
        assert found.tolist() == [0, 0, 0, 0]  # nothing has run yet
        for value in (1, 7):
            given[:] = value
            graph.launch()
            stream.synchronize()
            assert found.tolist() == [value] * 4
        graph.close()
        for buffer in (device, source, target):
            buffer.close()


def failed_capture(gpu: Gpu) -> None:
    with gpu.current():
        stream, device = gpu.stream(), gpu.device_buffer(4)
        source = gpu.pinned_buffer(4)

        def fail() -> None:
            raise EngineError("the network failed")

        with pytest.raises(EngineError, match="the network failed"):
            stream.capture(fail)
        stream.upload(device, source.view((4,), np.uint8))
        stream.synchronize()
        device.close()
        source.close()
