"""Execution slots: calls at once, graphs by shape, memory that grows and is given back."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from making.gpus import FakeDriver, fake_gpu

from posert.errors import EngineError
from posert.runtime.cuda import Gpu, Stream
from posert.runtime.slots import Array, Binding, Network, Slots, Spec


class Doubling:
    """Returns twice its input, uint8 (N, ...), and each picture's sum, int32 (N,)."""

    input = "x"
    capturable = True

    def __init__(self, driver: FakeDriver, together: threading.Barrier | None = None) -> None:
        self.enqueued = 0
        self.closed = False
        self._driver = driver
        self._together = together

    def outputs(self, feed: Spec) -> Mapping[str, Spec]:
        if feed.shape[0] > 64:
            raise EngineError("too many")
        return {
            "twice": Spec(feed.shape, feed.dtype),
            "sums": Spec(feed.shape[:1], np.dtype(np.int32)),
        }

    def enqueue(self, binding: Binding, stream: Stream) -> None:
        self.enqueued += 1
        if self._together is not None:
            self._together.wait(timeout=10)
        driver, at, given = self._driver, binding.addresses, binding.input

        def work() -> None:
            x = driver.read(at["x"], given.shape, given.dtype)
            driver.write(at["twice"], x * np.uint8(2))
            driver.write(at["sums"], sums(x))

        driver.streams[stream.handle].queue(work)

    def close(self) -> None:
        self.closed = True


class Uncapturable(Doubling):
    capturable = False


class Waiting(Doubling):
    """Says that it can be captured, but waits for the device."""

    def enqueue(self, binding: Binding, stream: Stream) -> None:
        super().enqueue(binding, stream)
        if self._driver.streams[stream.handle].capturing is not None:
            raise EngineError("operation not permitted when stream is capturing")


def sums(x: Array) -> Array:
    return np.asarray(x.reshape(len(x), -1).sum(1), np.int32)


def frames(count: int, side: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 100, (count, side, side, 3), np.uint8)


def make(gpu: Gpu, *networks: Network) -> Slots:
    with gpu.current():
        return Slots(gpu, [(network, gpu.stream()) for network in networks])


def check(slots: Slots, given: Array) -> None:
    found = slots.run(given)
    np.testing.assert_array_equal(found["twice"], given * 2)
    np.testing.assert_array_equal(found["sums"], sums(given))


@pytest.fixture(params=[Doubling, Uncapturable, Waiting])
def one(request: pytest.FixtureRequest) -> Iterator[tuple[Slots, Doubling, FakeDriver]]:
    gpu, driver = fake_gpu()
    network = request.param(driver)
    slots = make(gpu, network)
    yield slots, network, driver
    slots.close()


def test_each_call_gets_the_results_of_its_own_input(
    one: tuple[Slots, Doubling, FakeDriver],
) -> None:
    for seed, count in enumerate((2, 1, 5, 2, 2, 5, 8, 1)):
        check(one[0], frames(count, seed=seed))


def test_results_stay_when_the_slot_works_on(one: tuple[Slots, Doubling, FakeDriver]) -> None:
    first = frames(3, seed=1)
    kept = one[0].run(first)
    one[0].run(frames(3, seed=2))
    np.testing.assert_array_equal(kept["twice"], first * 2)


def test_a_shape_is_enqueued_to_warm_up_and_to_capture_and_then_replayed() -> None:
    gpu, driver = fake_gpu()
    network = Doubling(driver)
    slots = make(gpu, network)
    for seed in range(5):
        check(slots, frames(4, seed=seed))
    assert (network.enqueued, driver.launches) == (2, 5)
    check(slots, frames(2))
    assert network.enqueued == 4
    check(slots, frames(4))
    assert network.enqueued == 4


def test_what_cannot_be_captured_is_enqueued_each_time(caplog: pytest.LogCaptureFixture) -> None:
    gpu, driver = fake_gpu()
    network = Waiting(driver)
    slots = make(gpu, network)
    with caplog.at_level(logging.INFO):
        for seed in range(3):
            check(slots, frames(4, seed=seed))
            check(slots, frames(2, seed=seed))
    assert driver.launches == 0
    assert len([r for r in caplog.records if "no CUDA graph" in r.message]) == 1


def test_as_many_calls_as_slots_run_at_once() -> None:
    gpu, driver = fake_gpu()
    together = threading.Barrier(3)  # none goes on before three calls are inside
    networks = [Uncapturable(driver, together) for _ in range(3)]
    slots = make(gpu, *networks)
    given = [frames(2, seed=seed) for seed in range(12)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(slots.run, given))
    for x, tensors in zip(given, found, strict=True):
        np.testing.assert_array_equal(tensors["twice"], x * 2)
    assert all(network.enqueued for network in networks)
    slots.close()


def test_memory_grows_to_the_largest_shape_and_no_further() -> None:
    gpu, driver = fake_gpu()
    slots = make(gpu, Doubling(driver))
    check(slots, frames(2))
    check(slots, frames(8))  # what was captured for 2 speaks of memory that is gone
    largest = {address: memory.nbytes for address, memory in driver.memory.items()}
    for seed, count in enumerate((2, 8, 1, 2, 8)):
        check(slots, frames(count, seed=seed))
    assert {address: memory.nbytes for address, memory in driver.memory.items()} == largest
    assert sum(largest.values()) == 8 * 48 * 2 + 8 * 4
    assert len(driver.pinned) == 3
    slots.close()


def test_graphs_of_many_shapes_do_not_pile_up() -> None:
    gpu, driver = fake_gpu()
    slots = make(gpu, Doubling(driver))
    for side in range(40, 4, -1):
        check(slots, frames(1, side))
    assert len(driver.graphs) == 16
    check(slots, frames(1, 40))
    check(slots, frames(1, 5))
    slots.close()


def test_closing_gives_back_everything() -> None:
    gpu, driver = fake_gpu()
    networks = [Doubling(driver), Doubling(driver)]
    slots = make(gpu, *networks)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(slots.run, [frames(n % 3 + 1) for n in range(20)]))
    slots.close()
    slots.close()
    assert not driver.memory
    assert not driver.pinned
    assert not driver.graphs
    assert all(network.closed for network in networks)
    with pytest.raises(EngineError, match="was closed"):
        slots.run(frames(1))


def test_forgetting_the_slots_gives_back_everything() -> None:
    gpu, driver = fake_gpu()
    slots = make(gpu, Doubling(driver))
    check(slots, frames(1))
    del slots
    gc.collect()
    assert not driver.memory
    assert not driver.pinned
    assert not driver.graphs


def test_after_short_memory_smaller_batches_still_work() -> None:
    gpu, driver = fake_gpu(total=1000)
    slots = make(gpu, Doubling(driver))
    check(slots, frames(4))
    with pytest.raises(EngineError, match="Fake GPU has no"):
        slots.run(frames(16))
    check(slots, frames(3))
    slots.close()
    assert not driver.memory
    assert not driver.pinned


def test_a_failed_call_gives_its_slot_back() -> None:
    gpu, driver = fake_gpu()
    slots = make(gpu, Doubling(driver))
    for _ in range(3):
        with pytest.raises(EngineError, match="too many"):
            slots.run(frames(65))
    check(slots, frames(1))


def test_a_shape_that_finds_no_room_takes_that_of_others() -> None:
    class Crowded(Doubling):
        """Has room for two shapes."""

        def __init__(self, driver: FakeDriver) -> None:
            super().__init__(driver)
            self.held: set[Binding] = set()

        def enqueue(self, binding: Binding, stream: Stream) -> None:
            if binding not in self.held:
                if len(self.held) == 2:
                    raise EngineError("no room")
                self.held.add(binding)
                binding.kept.callback(self.held.remove, binding)
            super().enqueue(binding, stream)

    gpu, driver = fake_gpu()
    network = Crowded(driver)
    slots = make(gpu, network)
    for count in (4, 3, 2, 1, 4, 2, 1):
        check(slots, frames(count))
    slots.close()
    assert not network.held


def test_calls_that_come_while_it_is_closed_end() -> None:
    gpu, driver = fake_gpu()
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Uncapturable):
        def enqueue(self, binding: Binding, stream: Stream) -> None:
            inside.set()
            assert go_on.wait(10)
            super().enqueue(binding, stream)

    slots = make(gpu, Slow(driver))
    ended: list[str] = []

    def call() -> None:
        try:
            ended.append(f"{len(slots.run(frames(3))['sums'])} sums")
        except EngineError as e:
            ended.append(str(e))

    threads = [threading.Thread(target=t, daemon=True) for t in (call, slots.close, call, call)]
    for thread in threads:
        thread.start()
        assert inside.wait(10)
        thread.join(0.05)  # so that it waits for the slot before the next one comes
    go_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(ended) == 3
    assert "3 sums" in ended  # the call that was under way
    assert set(ended) <= {"3 sums", "the engine was closed"}
    assert not driver.memory
