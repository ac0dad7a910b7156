"""An engine's manifest: what an engine is, what it was made of and where it may run.

It lies beside its engine (``pose.engine`` and ``pose.engine.json``) and is all that the engine
builder and the runtime know of each other. It guards against mistakes, not against malice: an
engine is an executable artefact, so take one only from where you would take a program.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from posert.config import build, read_mapping
from posert.errors import EngineError
from posert.gpu import Device, cpu, first_gpu

STRICT: dict[str, Any] = {"extra": "forbid"}  # the model card's loads OpenCV and SciPy with it
SCHEMA = 1
Form: TypeAlias = Literal["maps", "compact"]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Backend: TypeAlias = Literal["tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime"]
Line: TypeAlias = Literal["tensorrt", "tensorrt-rtx", "onnxruntime"]
Range: TypeAlias = tuple[int, int, int]  # least, best, most


@dataclass(frozen=True)
class Profile:
    """The input shapes an engine takes: frames a batch, pixels of height and width."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    batch: Range
    height: Range
    width: Range

    def __post_init__(self) -> None:
        for name in ("batch", "height", "width"):
            least, best, most = getattr(self, name)
            if not 1 <= least <= best <= most:
                raise ValueError(f"{name} {least},{best},{most} is not 1 <= MIN <= OPT <= MAX")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) where the engine takes no other."""
        fixed = self.height[0] == self.height[2] and self.width[0] == self.width[2]
        return (self.height[0], self.width[0]) if fixed else None


@dataclass(frozen=True)
class GateLimits:
    """What an engine must reach; docs/int8.md says what was measured for them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    map_error: float = 0.25  # at most
    peak_agreement: float = 0.87  # at least
    people_agreement: float = 0.85  # at least
    ap_loss: float = 0.01  # at most


@dataclass(frozen=True)
class Gate:
    """How near an engine comes to the fp32 network on the calibration pictures."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    pictures: int
    people: int  # whom the fp32 network found in them; of none there is nothing to lose
    map_error: float | None  # RMS of the difference over RMS of the maps; None: it has no maps
    peak_agreement: float  # F1 of the clear peaks: the same type within a cell
    people_agreement: float  # F1 of the keypoints of people: the same person, within a cell
    ap_reference: float | None
    ap_candidate: float | None
    passed: bool
    limits: GateLimits = GateLimits()

    def reason(self) -> str | None:
        """What is beyond its limit, in one line; None where nothing is."""
        limits, found = self.limits, []
        if self.map_error is not None and not self.map_error <= limits.map_error:
            found.append(f"map error {self.map_error:.3f} (at most {limits.map_error})")
        for name in ("peak_agreement", "people_agreement"):
            value, least = getattr(self, name), getattr(limits, name)
            if not value >= least:
                found.append(f"{name.replace('_', ' ')} {value:.3f} (at least {least})")
        if self.ap_reference is not None and self.ap_candidate is not None:
            least = self.ap_reference - limits.ap_loss
            if not self.ap_candidate >= least - 1e-9:
                found.append(f"AP {self.ap_candidate:.4f} (at least {least:.4f})")
        return f"over {self.pictures} pictures: {', '.join(found)}" if found else None


@dataclass(frozen=True)
class Manifest:
    """All that is known of an engine; ``key`` covers what it depends on (see ``engine_key``)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    schema: int
    key: str
    recipe: str  # sha256 of what was asked for, known before anything is built
    model: str
    backend: Backend
    form: Form
    precision: Precision
    onnx_sha256: str  # of the final ONNX, from which the engine was built
    engine_sha256: str
    posert: str  # version of the builder
    line: Line
    line_version: str  # in full
    device: Device  # it was built on
    profile: Profile
    created: str  # ISO 8601, UTC
    build_seconds: float
    targets: tuple[str, ...] = ()  # compute capabilities it was built for, whatever built it
    flags: tuple[str, ...] = ()  # what the builder was told beyond the network
    parser: dict[str, Any] | None = None  # settings that are part of the graph
    tensors: dict[str, str] = field(
        default_factory=dict
    )  # the card's names -> the engine's, if other
    gate: Gate | None = None
    tools: dict[str, str] = field(default_factory=dict)  # versions of what else took part

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not {SCHEMA}: another posert wrote it")
        try:
            self.built_at.astimezone(timezone.utc)
        except (ValueError, OverflowError) as e:
            raise ValueError(f"created {self.created!r} is not a time of ISO 8601") from e

    @property
    def built_at(self) -> datetime:
        """``created`` as a time."""
        told = datetime.fromisoformat(self.created)
        return told if told.tzinfo else told.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class EngineFile:
    """An engine on disk and what the runtime must know of it."""

    path: Path
    form: Form = "maps"
    precision: Precision = "fp32"
    size: tuple[int, int] | None = None  # the one (height, width) it takes; None: see its shapes
    manifest: Manifest | None = None


def engine_file(path: Path, manifest: Manifest) -> EngineFile:
    """The engine at ``path`` as ``manifest`` tells of it."""
    return EngineFile(path, manifest.form, manifest.precision, manifest.profile.size, manifest)


def digest(facts: Mapping[str, Any]) -> str:
    """sha256 of plain data, whatever the order of its keys."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def engine_key(manifest: Manifest) -> str:
    """sha256 of all that the engine's validity depends on.

    An engine built for named targets does not depend on the machine that built it.
    """
    facts = asdict(manifest)
    what = ("model", "onnx_sha256", "precision", "form", "profile", "parser", "tensors")
    how = ("posert", "backend", "line", "line_version", "flags", "targets")
    place = "targets" if manifest.targets else "device"
    return digest({name: facts[name] for name in (*what, *how, place)})


def sidecar(engine: Path) -> Path:
    """Where the manifest of the engine at ``engine`` lies."""
    return engine.with_name(engine.name + ".json")


def as_json(manifest: Manifest) -> str:
    """The text of a sidecar."""
    return json.dumps(asdict(manifest), indent=2) + "\n"


def read_manifest(path: Path) -> Manifest:
    """The manifest in ``path``, a sidecar.

    Raises:
        EngineError: it cannot be read, is not of this schema, or was edited.
    """
    try:
        manifest = build(Manifest, read_mapping(path, EngineError), str(path), EngineError)
    except RecursionError as e:
        raise EngineError(f"{path}: is nested too deeply for a manifest") from e
    if manifest.key != engine_key(manifest):
        raise EngineError(f"{path}: its key is not that of its facts", fix="build the engine again")
    return manifest


def manifest_beside(engine: Path) -> Manifest:
    """The manifest of the engine at ``engine``.

    Raises:
        EngineError: there is none, it cannot be read, is not of this schema, or was edited.
    """
    if not os.path.isfile(sidecar(engine)):
        raise EngineError(
            f"{engine}: has no manifest {sidecar(engine).name} beside it",
            fix="copy it along, or build the engine again (posert build-engine)",
        )
    return read_manifest(sidecar(engine))


def read_engine(path: Path) -> EngineFile:
    """The engine at ``path``, whole and as its manifest says; it may be of another machine.

    Raises:
        EngineError: the engine or its manifest is missing, damaged or not of the other.
    """
    if not os.path.isfile(path):
        raise EngineError(f"{path}: there is no such engine")
    manifest = manifest_beside(path)
    try:
        found = file_sha256(path)
    except OSError as e:
        raise EngineError(f"{path}: cannot be read", got=e.strerror) from e
    if found != manifest.engine_sha256:
        raise EngineError(
            f"{path}: is damaged or another file",
            got=f"sha256 {found[:12]}…",
            expected=f"{manifest.engine_sha256[:12]}…",
            fix=rebuild(manifest),
        )
    return engine_file(path, manifest)


def open_own(path: Path) -> EngineFile:
    """The engine at ``path``, given by the user, if it can run here.

    Raises:
        EngineError: it is damaged, or was built for another device, TensorRT or posert.
    """
    engine = read_engine(path)
    assert engine.manifest is not None  # of read_engine
    if why := mismatch(engine.manifest):
        raise EngineError(f"{path.name} {why}", fix=rebuild(engine.manifest))
    return engine


def rebuild(manifest: Manifest) -> str:
    """The next step where an engine cannot be used."""
    return f"run: posert build-engine {manifest.model}"


def mismatch(manifest: Manifest) -> str | None:
    """Why the engine cannot run here (``was built for ...``), or None."""
    return version_mismatch(manifest, installed_version(manifest.line)) or device_mismatch(
        manifest, device_of(manifest.backend)
    )


def version_mismatch(manifest: Manifest, line_version: str | None) -> str | None:
    """Why an engine cannot run with this posert and ``line_version`` of its line, or None."""
    from posert.version import __version__

    line, built = manifest.line, manifest.line_version
    if manifest.posert != __version__:
        return f"was built by posert {manifest.posert}, this is {__version__}"
    if line_version is None:
        return f"needs {line} {built}, which is not installed"
    if built != line_version:
        return f"was built with {line} {built}, this is {line_version}"
    return None


def device_mismatch(manifest: Manifest, here: Device | None) -> str | None:
    """Why an engine cannot run on the device ``here``, or None."""
    built = manifest.device
    if here is None:
        return "needs an NVIDIA GPU, here is none"
    if manifest.targets:
        if here.compute_capability in manifest.targets:
            return None
        targets, has = ", ".join(manifest.targets), here.compute_capability
        return f"was built for compute capability {targets}, {here.name} has {has}"
    if built.name != here.name:
        return f"was built for {built.name}, this is {here.name}"
    if built.compute_capability != here.compute_capability:
        was, now = built.compute_capability or "other", here.compute_capability or "other"
        return f"was built for {built.name} with {was}, this has {now}"
    if built.driver_major != here.driver_major:
        return f"was built under a {built.driver}, this is a {here.driver}"
    return None


def device_of(backend: Backend) -> Device | None:
    """What an engine of ``backend`` runs on here: the first GPU, if there is one, or the CPU."""
    return cpu() if backend == "onnxruntime" else first_gpu()


_DISTRIBUTIONS: Final[Mapping[Line, tuple[str, ...]]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
}


def installed_version(line: Line) -> str | None:
    """The full version of ``line`` that is installed here, without importing it."""
    from importlib.metadata import PackageNotFoundError, distribution
    from importlib.util import find_spec

    module = find_spec(line.replace("-", "_"))
    if module is None or module.origin is None:
        return None
    found = []
    for name in _DISTRIBUTIONS[line]:
        with suppress(PackageNotFoundError):
            found.append(distribution(name))
    home = Path(module.origin).parent.parent
    # where several are installed, the one whose folder Python imports from
    here = [one for one in found if Path(str(one.locate_file(""))) == home]
    return next((one.version for one in (*here, *found)), None)


def file_sha256(path: Path) -> str:
    """sha256 of a file, read a piece at a time."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()
