"""Files decoded by NVDEC give the frames, times and pictures that FFmpeg gives."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making.clips import clip, turn
from making.gpus import fake_gpu
from making.nvdec import FakeNvcodec
from making.pictures import nose_of_frame, picture

from posert.errors import EngineError
from posert.runtime.cuda import Gpu
from posert.runtime.sources import nvcodec, nvdec
from posert.runtime.sources.nvcodec import NotOnDevice, NvcodecFile
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Frame

DEMO = Path(__file__).parents[2] / "demo" / "walkers.mp4"


class Machine:
    """A made-up GPU with NVDEC."""

    def __init__(self) -> None:
        self.gpu, self.driver = fake_gpu()
        self.library = FakeNvcodec(self.driver)

    def pictures_left(self) -> int:
        """How many pictures' memory is held."""
        gc.collect()
        return len(set(self.driver.memory) - self.library.surfaces)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setattr(nvcodec, "open_gpu", lambda: made.gpu)
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", made.library)
    nvdec.limits.cache_clear()
    yield made
    nvdec.limits.cache_clear()


SPANS = [
    Span(),
    Span(every=3),
    Span(max_frames=5),
    Span(start_s=0.4),
    Span(start_s=0.3, every=2, max_frames=3),
]


def check_same(path: Path, span: Span = Span()) -> list[Frame]:  # noqa: B008  frozen
    """Both readers give the same; returns NVDEC's frames."""
    ours, theirs = NvcodecFile(path), VideoFile(path)
    assert ours.info == theirs.info
    found, wanted = list(ours.frames(span)), list(theirs.frames(span))
    assert [but_its_picture(f) for f in found] == [but_its_picture(f) for f in wanted]
    for frame, other in zip(found, wanted, strict=True):
        assert frame.size == other.size
        difference = np.abs(frame.image.astype(int) - other.image)
        assert difference.max() <= 3  # 0 where FFmpeg converts as on x86
    assert (ours.skipped, ours.dropped) == (theirs.skipped, theirs.dropped)
    ours.close()
    theirs.close()
    return found


def but_its_picture(frame: Frame) -> tuple[int, int, float]:
    return frame.index, frame.pts, frame.time_s


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("span", SPANS)
def test_frames_are_those_of_ffmpeg(
    machine: Machine, tmp_path: Path, span: Span, codec: str
) -> None:
    frames = check_same(clip(tmp_path / "walk.mp4", 30, codec=codec), span)
    assert frames
    del frames
    assert machine.pictures_left() == 0


@pytest.mark.parametrize("name", ["walk.mkv", "walk.ts", "walk.mov"])
def test_other_containers(machine: Machine, tmp_path: Path, name: str) -> None:
    check_same(clip(tmp_path / name, 12))


def test_times_that_are_uneven(machine: Machine, tmp_path: Path) -> None:
    pts = [0, 10, 15, 40, 41, 60]
    check_same(clip(tmp_path / "uneven.mp4", 6, pts=pts, time_base=Fraction(1, 100)))


def test_memory_does_not_grow_with_the_file(machine: Machine, tmp_path: Path) -> None:
    source = NvcodecFile(clip(tmp_path / "long.mp4", 60))
    held: list[Frame] = []
    for frame in source.frames(Span()):
        held.append(frame)
        del held[:-4]
        del frame
        assert machine.pictures_left() <= 5
    source.close()
    held.clear()
    assert machine.pictures_left() == 0


def test_a_reader_that_stops_half_way_frees_all(machine: Machine, walk: Path) -> None:
    source = NvcodecFile(walk)
    frames = source.frames(Span())
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    source.close()
    assert machine.pictures_left() == 0


def test_packets_that_are_refused_are_counted(machine: Machine, tmp_path: Path) -> None:
    path = clip(tmp_path / "intra.mp4", 12, gop=1)
    times = [frame.pts for frame in VideoFile(path).frames(Span())]
    source = NvcodecFile(path)
    machine.library.refused = {times[4], times[5]}
    left = [frame.pts for frame in source.frames(Span())]
    assert left == times[:4] + times[6:]
    assert source.skipped == 2
    source.close()


def turned(path: Path) -> Path:
    return turn(clip(path, 6), 90)


REFUSED: list[tuple[str, Callable[[Path], Path], str]] = [
    ("other.mp4", lambda path: clip(path, 6, codec="mpeg4"), "is mpeg4"),
    ("other.mkv", lambda path: clip(path, 6, codec="ffv1"), "is ffv1"),
    ("turned.mp4", turned, "is to be turned"),
    ("raw.h264", lambda path: clip(path, 6, format="h264"), "packets without a time"),
]


@pytest.mark.parametrize(("name", "make", "reason"), REFUSED)
def test_what_nvdec_cannot_do_is_told(
    machine: Machine, tmp_path: Path, name: str, make: Callable[[Path], Path], reason: str
) -> None:
    with pytest.raises(NotOnDevice, match=reason):
        NvcodecFile(make(tmp_path / name))
    assert not machine.driver.memory


def test_too_large_pictures_are_refused(machine: Machine, walk: Path) -> None:
    machine.library = FakeNvcodec(machine.driver, largest=64)
    sys.modules["PyNvVideoCodec"] = machine.library  # type: ignore[assignment]
    with pytest.raises(NotOnDevice, match="expected 48 x 16 to 64 x 64"):
        NvcodecFile(walk)


def test_without_the_library_it_says_so(
    machine: Machine, walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(EngineError, match="PyNvVideoCodec does not load"):
        NvcodecFile(walk)


@pytest.mark.gpu
@pytest.mark.parametrize("span", [Span(every=7), Span(start_s=3.3, every=9), Span(max_frames=20)])
def test_the_demo_clip_on_a_gpu(gpu: Gpu, span: Span) -> None:
    check_same(DEMO, span)


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_small_clips_on_a_gpu(gpu: Gpu, tmp_path: Path, codec: str) -> None:
    images = [picture(320, 240, [nose_of_frame(i)]) for i in range(60)]
    path = clip(tmp_path / "walk.mp4", images, codec=codec)
    check_same(path)
    check_same(path, Span(start_s=1.0, every=2))


@pytest.mark.gpu
def test_pictures_too_small_for_the_hardware_are_refused(gpu: Gpu, tmp_path: Path) -> None:
    with pytest.raises(NotOnDevice, match=r"is 96 x 64.*expected \d+ x \d+ to"):
        NvcodecFile(clip(tmp_path / "walk.mp4", codec="libx265"))


@pytest.mark.gpu
def test_pictures_stay_while_the_gpu_decodes_on(gpu: Gpu) -> None:
    source, theirs = NvcodecFile(DEMO), VideoFile(DEMO)
    span = Span(max_frames=40)
    held = list(source.frames(span))  # all of them, although the decoder has room for four
    for frame, other in zip(held, theirs.frames(span), strict=True):
        assert np.abs(frame.image.astype(int) - other.image).max() <= 3
    source.close()
