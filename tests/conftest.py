"""Fixtures for all tests; what they make is made by the package ``making`` beside this file."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from making.clips import clip
from making.command import Command
from making.networks import dots_network

from posert.errors import EngineError
from posert.runtime.cuda import Gpu, open_gpu
from posert.runtime.video_io import why_no_gst

SHARED = Path(os.environ.get("POSERT_SHARED") or Path(__file__).parents[2] / "shared").resolve()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine cache for the tests alone, and the choices of a machine of two cores."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSERT_CACHE", str(folder))
        patch.setattr("posert.building.plan.usable_cores", lambda: 2)
        yield folder


@pytest.fixture(autouse=True)
def levels_as_before() -> Iterator[None]:
    """What a command says of builds is not said in the tests after it."""
    yield
    logging.getLogger("posert.building").setLevel(logging.NOTSET)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
        if "gst" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.gst)
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no {SHARED}"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that is not part of the repository."""
    return SHARED


@pytest.fixture(scope="session")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the network that finds the people of ``making.pictures``."""
    return dots_network(tmp_path_factory.mktemp("dots"))


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 frames, the person of frame i at ``nose_of_frame(i)``."""
    return clip(tmp_path_factory.mktemp("clips") / "walk.mp4")


@pytest.fixture
def posert(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before]
    for thread in left:
        thread.join(timeout=5)
    assert not [t.name for t in left if t.is_alive()]


@pytest.fixture(scope="session")
def gst() -> None:
    """OpenCV's GStreamer works here; a test that takes it is marked gst."""
    if why := why_no_gst():
        if os.environ.get("POSERT_REQUIRE_GST") == "1":
            pytest.fail(f"POSERT_REQUIRE_GST=1, but: {why}")
        pytest.skip(why)


@pytest.fixture
def gpu() -> Gpu:
    """The NVIDIA GPU of this machine, through pycuda."""
    try:
        return open_gpu()
    except EngineError as e:
        if os.environ.get("POSERT_REQUIRE_GPU") == "1":
            pytest.fail(f"POSERT_REQUIRE_GPU=1, but: {e}")
        pytest.skip(str(e))
