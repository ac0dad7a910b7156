"""Pictures on the device become a network's input there as ``fit`` makes it on the host."""

from __future__ import annotations

import gc
import hashlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from making.device_pictures import noise, on_host, put
from making.gpus import FakeDriver, fake_gpu

import posert.runtime
from posert.model_card import InputCard, InputSize
from posert.runtime.cuda import Gpu
from posert.runtime.device.colours import Colours
from posert.runtime.device.pictures import Nv12Picture, Pool
from posert.runtime.device.placing import filling, place
from posert.runtime.preprocess import fit

KERNELS = Path(posert.runtime.__file__).parent / "kernels"
CARD = InputCard(name="input", size=64, multiple=32, colour="rgb", resize="letterbox")
# of the picture, and of the network's input
SIZES: list[tuple[int, int, InputSize]] = [
    (320, 180, 64), (180, 320, 64), (322, 182, 96), (60, 40, 96), (320, 180, (64, 96)),
    (128, 64, 128), (2, 300, 64),
]  # fmt: skip


def filled(gpu: Gpu, pictures: list[Nv12Picture], size: InputSize) -> npt.NDArray[np.uint8]:
    """A network's input, (N, h, w, 3), made on the device."""
    placed = [place(picture, CARD, size, 8) for picture in pictures]
    result = np.empty((len(pictures), *placed[0].size, 3), np.uint8)
    with gpu.current():
        stream, buffer = gpu.stream(), gpu.device_buffer(result.nbytes)
        filling(gpu, placed, CARD)(buffer, stream)
        stream.download(result, buffer)
        stream.synchronize()
        buffer.close()
        stream.close()
    return result


def check_inputs(gpu: Gpu) -> None:
    for width, height, size in SIZES:
        for colours in (Colours(1, False), Colours(5, True)):
            nv12 = noise(width, height)
            picture = put(gpu, nv12, colours)
            wanted, letterbox = fit(on_host(nv12, colours), CARD, size, 8)
            (found,) = filled(gpu, [picture], size)
            difference = np.abs(found.astype(int) - wanted)
            assert difference.max() <= 1, (width, height, size, colours)
            assert place(picture, CARD, size, 8).letterbox == letterbox


def check_host_copies(gpu: Gpu) -> None:
    for colours in (Colours(1, False), Colours(5, False), Colours(1, True)):
        nv12 = noise(66, 50)
        found = put(gpu, nv12, colours).to_host()
        most = 0 if platform.machine() == "x86_64" else 3  # FFmpeg rounds otherwise elsewhere
        assert np.abs(found.astype(int) - on_host(nv12, colours)).max() <= most


def check_batches(gpu: Gpu) -> None:
    """Pictures of several sizes, more than one launch holds, each at its place."""
    sizes = [(320, 180), (160, 90), (64, 36)]
    given = [noise(*sizes[i % 3], seed=i) for i in range(40)]
    colours = Colours(1, False)
    found = filled(gpu, [put(gpu, nv12, colours) for nv12 in given], (64, 64))
    for nv12, picture in zip(given, found, strict=True):
        wanted, _ = fit(on_host(nv12, colours), CARD, (64, 64), 8)
        assert np.abs(picture.astype(int) - wanted).max() <= 1


CHECKS = [check_inputs, check_host_copies, check_batches]


@pytest.mark.parametrize("check", CHECKS)
def test_as_on_the_host(check: Any) -> None:
    check(fake_gpu()[0])


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS)
def test_as_on_the_host_by_the_kernel(check: Any, gpu: Gpu) -> None:
    check(gpu)


def test_a_picture_keeps_its_memory_until_it_is_gone() -> None:
    gpu, driver = fake_gpu()
    pool, colours = Pool(gpu, 64, 36, Colours(1, False)), Colours(1, False)
    given = [noise(64, 36, seed=i) for i in range(12)]
    held: list[Nv12Picture] = []
    for i, nv12 in enumerate(given):
        held.append(picture_of(pool, gpu, driver, nv12))
        if len(held) > 3:
            np.testing.assert_array_equal(held[0].to_host(), on_host(given[i - 3], colours))
            del held[0]
    assert len(driver.memory) == 4
    pool.close()
    assert len(driver.memory) == 3
    held.clear()
    gc.collect()
    assert not driver.memory


def picture_of(
    pool: Pool, gpu: Gpu, driver: FakeDriver, nv12: npt.NDArray[np.uint8]
) -> Nv12Picture:
    with gpu.current():
        stream, own = gpu.stream(), gpu.device_buffer(nv12.nbytes)
        driver.write(own.address, nv12)
        picture = pool.picture(own.address, stream)
        stream.synchronize()
        own.close()
    return picture


def test_unusual_colours_are_told() -> None:
    assert Colours.of(8, 1, 1080) is None  # YCgCo
    assert Colours.of(2, 1, 1080) == Colours(1, False)
    assert Colours.of(2, 0, 480) == Colours(5, False)
    assert Colours.of(6, 2, 480) == Colours(6, True)


def test_the_ptx_is_of_the_source() -> None:
    source = KERNELS / "resize_nv12.cu"
    first = (KERNELS / "resize_nv12.ptx").read_text().splitlines()[0]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert first == f"// of {source.name}, sha256 {digest}", "run scripts/make_ptx.py"
