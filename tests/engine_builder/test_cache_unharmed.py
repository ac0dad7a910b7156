"""The engine cache between processes, after kills and on disks that refuse."""

from __future__ import annotations

import errno
import functools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest
from making.command import PATIENCE_S
from making.engines import built, endings, never, request, start

from posert.engine_builder.cache import Built, Cache
from posert.errors import OutputError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


# Disks that refuse


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """As a user to whom ``folder`` is read-only; root may write everywhere."""
    assert filelock  # is imported while it may be
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_read_only_cache_serves_what_it_holds_and_refuses_the_rest(open_folder: Path) -> None:
    cache = Cache(open_folder / "cache")
    engine = cache.get_or_build(request(), built)
    assert cache.find(request())  # imports what it wants while it may
    with unprivileged(cache.folder):
        assert cache.get_or_build(request(), never) == engine
        with pytest.raises(OutputError) as refused:
            cache.get_or_build(request(model="other"), never)  # before minutes are spent
    assert str(refused.value) == (
        f"engine cache {cache.folder}: cannot be written: got Permission denied; "
        "set POSERT_CACHE to a folder that has room and may be written"
    )


def test_a_file_in_the_place_of_the_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be written"):
            Cache(folder).get_or_build(request(), never)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("write", [1, 2], ids=["engine", "manifest"])
def test_a_full_disk_is_one_line_and_leaves_what_was_here(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    first = cache.get_or_build(request(), built)
    calls = iter(range(1, 9))

    def full(_: int) -> None:
        if next(calls) == write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"got No space left on device; set POSERT_CACHE"):
        cache.get_or_build(request(), lambda: built(b"new"), force=True)
    assert cache.find(request()) == first
    assert endings(cache) == ["onnx", "onnx.json"]


def test_a_limit_on_files_is_one_line_and_leaves_nothing(cache: Cache) -> None:
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "Cache(Path(sys.argv[2])).get_or_build(request(), built)"
    )
    _, err = start(cache, code).communicate(timeout=PATIENCE_S)
    assert "OutputError: engine cache" in err
    assert "got File too large" in err
    assert endings(cache) == []


def test_one_may_go_on_without_the_cache_and_build_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    built_once = []

    @functools.cache
    def build() -> Built:
        built_once.append(True)
        return built()

    with pytest.raises(OutputError):
        Cache(tmp_path / "file").get_or_build(request(), build)
    assert Cache(tmp_path / "temporary").get_or_build(request(), build).path.is_file()
    assert len(built_once) == 1


# Processes of their own

_BUILD = """
def build():
    print("building", flush=True)
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return built()

print(Cache(Path(sys.argv[2])).get_or_build(request(), build).path)
"""


def test_of_two_processes_one_builds_and_the_other_waits_for_it(cache: Cache) -> None:
    first = start(cache, _BUILD)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start(cache, _BUILD)
    assert second.stderr is not None
    line = "waiting for another process that builds the engine of pose\n"
    assert second.stderr.readline() == line
    (cache.folder.parent / "go").touch()
    path = str(cache.path(request()))
    assert first.communicate(timeout=PATIENCE_S) == (f"{path}\n", "")
    assert second.communicate(timeout=PATIENCE_S) == (f"{path}\n", "")  # it did not build
    assert endings(cache) == ["onnx", "onnx.json"]


def test_whoever_waited_holds_a_lock_that_others_see(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    lock = cache.path(request()).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    seen = []

    def build() -> Built:
        seen.append(lock.exists())
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(lock, thread_local=False).acquire(timeout=0)
        seen.append(True)
        return built()

    with filelock.FileLock(lock):  # another builds
        waiting = threading.Thread(target=cache.get_or_build, args=(request(), build))
        waiting.start()
        while not caplog.messages:
            time.sleep(0.01)
        time.sleep(0.1)
        lock.unlink()  # as it does at its end
    waiting.join(PATIENCE_S)
    assert seen == [True, True]
    assert not lock.exists()


def test_engines_of_two_requests_are_built_at_once(cache: Cache) -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def build() -> Built:
        both.wait()
        return built()

    asked = [request(), request(form="maps")]
    threads = [threading.Thread(target=cache.get_or_build, args=(r, build)) for r in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert all(cache.find(r) for r in asked)


_HANG_IN_FSYNC = """
def hang(_):
    print("writing", flush=True)
    time.sleep(1000)

os.fsync = hang
Path(sys.argv[1]).touch()
"""


@pytest.mark.parametrize(
    ("before", "at", "left"),
    [("", "building", ["lock"]), (_HANG_IN_FSYNC, "writing", ["lock", "onnx.tmp"])],
    ids=["building", "writing"],
)
def test_after_a_killed_build_the_next_one_builds_at_once(
    cache: Cache, caplog: pytest.LogCaptureFixture, before: str, at: str, left: list[str]
) -> None:
    process = start(cache, before + _BUILD)
    assert process.stdout is not None
    assert any(line == f"{at}\n" for line in process.stdout)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert endings(cache) == left
    began = time.monotonic()
    engine = cache.get_or_build(request(), built)
    assert time.monotonic() - began < 5
    assert cache.find(request()) == engine
    assert endings(cache) == ["onnx", "onnx.json"]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
