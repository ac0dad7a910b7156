"""The engine cache: built once, verified on every load, safe between processes and from kills.

    <cache>/<model>/<recipe>.engine          or .onnx, for onnxruntime
    <cache>/<model>/<recipe>.engine.json     its manifest, written last
    <cache>/<model>/<recipe>.lock            there while that engine is built

``recipe`` is the beginning of the sha256 of all that was asked for, so that a warm start finds its
engine without looking at the ONNX.

An engine is an executable artefact: whoever can write here can run code as the user of PoseRT.
Folders are made for their owner alone (0700); checksums find damage, not malice.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from posert.config import PACKAGE, environment
from posert.errors import EngineError, OutputError
from posert.gpu import Device
from posert.manifest import (
    SCHEMA,
    Backend,
    EngineFile,
    Form,
    Gate,
    Line,
    Manifest,
    Precision,
    Profile,
    as_json,
    device_mismatch,
    digest,
    engine_file,
    engine_key,
    file_sha256,
    read_engine,
    read_manifest,
    sidecar,
    version_mismatch,
)
from posert.version import __version__

log = logging.getLogger(__name__)
_POLL_S = 0.05  # how soon a waiting process sees that the lock is free


@dataclass(frozen=True)
class Request:
    """All that decides what a build makes, known before anything is built."""

    model: str
    backend: Backend
    form: Form
    precision: Precision
    source_sha256: str  # of the model's ONNX
    line: Line
    line_version: str  # in full
    device: Device
    profile: Profile
    targets: tuple[str, ...] = ()
    parser: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # every other parameter; plain data

    @property
    def recipe(self) -> str:
        """sha256 of the request and of what builds it; named targets stand for the device.

        The batch is left out: a run takes the engine that is there, whatever its batch.
        """
        facts = asdict(self)
        del facts["profile"]["batch"]
        if self.targets:
            del facts["device"]
        return digest({**facts, "posert": __version__, "code": _code()})


@functools.cache
def _code() -> str:
    """sha256 of the sources that shape an engine: in a checkout they change and no version does."""
    found = sha256()
    for folder in ("engine_builder", "postprocess"):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            found.update(f"{path.relative_to(PACKAGE)} {file_sha256(path)}\n".encode())
    return found.hexdigest()


@dataclass(frozen=True)
class Built:
    """What a build returns."""

    engine: bytes
    onnx_sha256: str  # of the final ONNX
    flags: tuple[str, ...] = ()
    gate: Gate | None = None
    tools: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)  # the card's names -> the engine's


@dataclass(frozen=True)
class Cache:
    """The engines in ``folder``."""

    folder: Path = field(default_factory=lambda: environment().cache)

    def find(self, request: Request) -> EngineFile | None:
        """The engine of ``request``, verified; needs no lock and writes nothing."""
        found = self._look(request)
        return found if isinstance(found, EngineFile) else None

    def get_or_build(
        self, request: Request, build: Callable[[], Built], *, force: bool = False
    ) -> EngineFile:
        """The engine of ``request``; ``build`` makes it where it is not here, under the lock.

        To go on where the cache cannot be written: ``Cache(temporary).get_or_build`` with
        ``functools.cache(build)``, which does not build twice.

        Raises:
            OutputError: it is not here and the cache cannot be written.
            PosertError: of ``build``; what was here stays then.
        """
        if not force and (engine := self.find(request)):
            return engine
        path = self.path(request)
        with _locked(path, self.folder, request.model):
            found = None if force else self._look(request)  # another may have built it meanwhile
            if isinstance(found, EngineFile):
                return found
            if why := found or (None if force else self._built_elsewhere(request)):
                log.warning("%s; building it again", why)
            start = time.perf_counter()
            built = build()
            made = _manifest(request, built, time.perf_counter() - start)
            with _told(self.folder):
                _store(path, built.engine, made)
        return engine_file(path, made)

    def path(self, request: Request) -> Path:
        """Where the engine of ``request`` is or will be."""
        model = re.sub(r"[^\w.-]", "_", request.model).lstrip(".")[:100] or "model"
        ending = ".onnx" if request.line == "onnxruntime" else ".engine"
        return self.folder / model / (request.recipe[:16] + ending)

    def _look(self, request: Request) -> EngineFile | str | None:
        """The engine, or why what is here cannot be used, or None where nothing is."""
        path = self.path(request)
        if not os.path.exists(path) and not os.path.exists(sidecar(path)):
            return None
        try:
            engine = read_engine(path)
        except EngineError as e:
            return str(e).partition("; ")[0]  # its next step is taken here
        made = engine.manifest
        if made is None or made.recipe != request.recipe:
            return f"{path}: is the engine of another request"
        return f"{path}: {why}" if (why := _foreign(made, request)) else engine

    def _built_elsewhere(self, request: Request) -> str | None:
        """That the engine is here for another device or version, if it is."""
        wanted = (request.backend, request.form, request.precision, request.profile)
        for path in sorted(self.path(request).parent.glob("*.json")):
            with suppress(EngineError):
                made = read_manifest(path)
                alike = wanted == (made.backend, made.form, made.precision, made.profile)
                if alike and (why := _foreign(made, request)):
                    return f"{path.with_suffix('')}: {why}"
        return None


def _foreign(made: Manifest, request: Request) -> str | None:
    """Why an engine is not of this posert, this version of its line or this device, or None."""
    why = version_mismatch(made, request.line_version)
    return why or (None if request.targets else device_mismatch(made, request.device))


def _manifest(request: Request, built: Built, build_seconds: float) -> Manifest:
    made = Manifest(
        schema=SCHEMA,
        key="",
        recipe=request.recipe,
        model=request.model,
        backend=request.backend,
        form=request.form,
        precision=request.precision,
        onnx_sha256=built.onnx_sha256,
        engine_sha256=sha256(built.engine).hexdigest(),
        posert=__version__,
        line=request.line,
        line_version=request.line_version,
        device=request.device,
        profile=request.profile,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        build_seconds=round(build_seconds, 3),
        targets=request.targets,
        flags=built.flags,
        parser=None if request.parser is None else dict(request.parser),
        gate=built.gate,
        tools=built.tools,
        tensors=built.tensors,
    )
    return replace(made, key=engine_key(made))


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the disk refuses as one line.

    Raises:
        OutputError: instead of any OSError.
    """
    try:
        yield
    except (OSError, NotImplementedError) as e:  # the second: a file system without locks
        raise OutputError(
            f"engine cache {folder}: cannot be written",
            got=getattr(e, "strerror", None) or e,
            fix="set POSERT_CACHE to a folder that has room and may be written",
        ) from e


@contextmanager
def _locked(path: Path, folder: Path, model: str) -> Iterator[None]:
    """While no other process builds the engine at ``path``; its kernel lock ends with it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_suffix(".lock"))
    with _told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("waiting for another process that builds the engine of %s", model)
            lock.acquire(poll_interval=_POLL_S)
    try:
        yield
    finally:
        with suppress(OSError):  # whoever waits sees that its file is gone, and makes another
            path.with_suffix(".lock").unlink()
        lock.release()


def _store(path: Path, engine: bytes, made: Manifest) -> None:
    """All or nothing: written in full beside what is there, then moved over it, manifest last.

    Only the holder of the lock writes here, so a name of its own for each process is not needed
    and what a kill leaves is overwritten. Without its manifest an engine counts as damaged.
    """
    parts = {path: engine, sidecar(path): as_json(made).encode()}
    try:
        for target, data in parts.items():
            _write(_temporary(target), data)
        sidecar(path).unlink(missing_ok=True)
        for target in parts:
            _temporary(target).replace(target)
    finally:
        for target in parts:
            with suppress(OSError):  # gone already where all went well
                _temporary(target).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the name without the bytes
