"""What lies in the engine cache, and how it is cleared."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posert.errors import EngineError, OutputError
from posert.manifest import Manifest, mismatch, read_engine, read_manifest, sidecar

log = logging.getLogger(__name__)

# PoseRT's own files; whatever else is in the folder is left alone
_OURS = re.compile(r"([0-9a-f]{16})\.(lock|(engine|onnx)(\.json)?(\.tmp)?)")


@dataclass(frozen=True)
class Entry:
    """One engine of the cache."""

    path: Path
    size_bytes: int  # with its manifest
    manifest: Manifest | None  # None: it cannot be read
    broken: str | None = None  # why nobody can use it
    foreign: str | None = None  # why it cannot be used here; another machine or version may


def entries(folder: Path) -> Iterator[Entry]:
    """The engines in the cache ``folder``, by model, each verified.

    Raises:
        OutputError: the folder cannot be looked into.
    """
    for stem in _stems(folder):
        if entry := _entry(_files(stem)):
            yield entry


def prune(folder: Path, unwanted: Callable[[Entry], bool]) -> Iterator[tuple[Path, int]]:
    """Removes ``unwanted`` engines and what killed builds left; each with the bytes it freed.

    What is being built at this moment is left alone, and so is a folder in the place of a file,
    which a line says.

    Raises:
        OutputError: the folder cannot be looked into, or a file not be removed.
    """
    from filelock import FileLock, Timeout

    for stem in _stems(folder):
        lock = stem.with_suffix(".lock")
        left = os.path.isfile(lock)  # a build that ends, well or not, takes its own away
        try:
            with FileLock(lock).acquire(timeout=0):
                yield from _removed(stem, unwanted)
                lock.unlink()
            if left:
                yield lock, 0
            _remove_if_empty(stem.parent)
        except Timeout:
            continue
        except OSError as e:
            raise OutputError(f"engine cache {folder}: cannot be cleared", got=e.strerror) from e


def _removed(stem: Path, unwanted: Callable[[Entry], bool]) -> Iterator[tuple[Path, int]]:
    """The manifest goes before its engine: what a kill leaves is then no engine."""
    files = _files(stem)
    entry = _entry(files)
    spared = {entry.path, sidecar(entry.path)} if entry and not unwanted(entry) else set()
    doomed = [path for path in files if path not in spared and path.suffix != ".lock"]
    for path in sorted(doomed, key=lambda file: file.suffix != ".json"):
        if path.is_dir():
            log.warning("%s is a folder: it is left alone", path)
            continue
        size = path.stat().st_size
        path.unlink()
        yield path, size


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _entry(files: list[Path]) -> Entry | None:
    """The engine of which ``files`` are the parts; None where they are left of a killed build."""
    finished = [path for path in files if path.suffix not in (".lock", ".tmp")]
    if not finished:
        return None
    first = finished[0]  # the engine, unless there is only its manifest
    path = first.with_suffix("") if first.suffix == ".json" else first
    size_bytes = sum(file.stat().st_size for file in finished if file.exists())
    try:
        manifest = read_engine(path).manifest
    except EngineError as e:
        return Entry(path, size_bytes, _manifest(path), broken=str(e).partition("; ")[0])
    why = None if manifest is None else mismatch(manifest)
    return Entry(path, size_bytes, manifest, foreign=why)


def _manifest(path: Path) -> Manifest | None:
    try:
        return read_manifest(sidecar(path))
    except EngineError:
        return None


def _stems(folder: Path) -> list[Path]:
    """``folder/model/recipe`` of everything of ours; nothing where there is no cache."""
    if not os.path.exists(folder):
        return []
    try:
        models = [path for path in folder.iterdir() if os.path.isdir(path)]
        files = [path for model in models for path in model.iterdir()]
    except OSError as e:
        raise OutputError(f"engine cache {folder}: cannot be read", got=e.strerror) from e
    ours = ((path, _OURS.fullmatch(path.name)) for path in files)
    return sorted({path.with_name(named[1]) for path, named in ours if named})


def _files(stem: Path) -> list[Path]:
    """The files of one engine that are there now."""
    return sorted(path for path in stem.parent.glob(f"{stem.name}.*") if _OURS.fullmatch(path.name))
