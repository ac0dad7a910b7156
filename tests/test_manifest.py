"""Manifests: read strictly, bound to their engine; engines that cannot run here are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from making.engines import built, changed, request

from posert import manifest as module
from posert.engine_builder.cache import Cache
from posert.errors import EngineError
from posert.gpu import Device, cpu
from posert.manifest import (
    EngineFile,
    Gate,
    Manifest,
    Profile,
    as_json,
    engine_key,
    installed_version,
    open_own,
    read_engine,
    read_manifest,
    sidecar,
)

L4 = Device("NVIDIA L4", "8.9", 13)
H200 = Device("NVIDIA H200", "9.0", 13)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """``pose.engine`` with its manifest, as a user copied it out of a cache."""
    made = Cache(tmp_path / "cache").get_or_build(request(), built)
    path = tmp_path / "pose.engine"
    made.path.rename(path)
    sidecar(made.path).rename(sidecar(path))
    return path


@pytest.fixture
def on_h200(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here is TensorRT 10.3.0 and an NVIDIA H200."""
    monkeypatch.setattr(module, "first_gpu", lambda: H200)
    monkeypatch.setattr(module, "installed_version", lambda line: "10.3.0")


def rewrite(engine: Path, **changes: Any) -> Manifest:
    """The manifest of ``engine`` as a builder elsewhere would have written it."""
    other = changed(read_manifest(sidecar(engine)), **changes)
    sidecar(engine).write_text(as_json(other), encoding="utf-8")
    return other


def as_tensorrt(engine: Path, **changes: Any) -> None:
    where: dict[str, Any] = {
        "backend": "tensorrt", "line": "tensorrt", "line_version": "10.3.0", "device": H200,
    }  # fmt: skip
    rewrite(engine, **{**where, **changes})


def refusal(engine: Path) -> str:
    with pytest.raises(EngineError) as refused:
        open_own(engine)
    return str(refused.value)


def test_a_manifest_comes_back_as_it_was_written(engine: Path) -> None:
    made = rewrite(
        engine,
        flags=("fp16",),
        gate=Gate(20, 12, 0.004, 0.99, 0.98, None, None, passed=False),
        parser=None,
    )
    assert read_manifest(sidecar(engine)) == made
    assert json.loads(as_json(made))["device"]["name"] == cpu().name


def test_an_engine_of_here_is_opened_wherever_it_was_copied(engine: Path) -> None:
    opened = open_own(engine)
    assert isinstance(opened, EngineFile)
    assert (opened.path, opened.form, opened.precision) == (engine, "compact", "int8")
    assert opened.size == (224, 384)


def test_the_size_is_told_only_where_there_is_one() -> None:
    assert Profile((1, 4, 8), (224, 224, 448), (384, 384, 384)).size is None
    assert Profile((1, 4, 8), (224, 224, 224), (384, 384, 384)).size == (224, 384)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"device": L4}, "was built for NVIDIA L4, this is NVIDIA H200"),
        ({"device": replace(H200, compute_capability="9.1")}, "NVIDIA H200 with 9.1, this has 9.0"),
        (
            {"device": replace(H200, driver_major=570)},
            "under a driver 570, this is a CUDA 13 driver",
        ),
        ({"line_version": "8.6.1"}, "was built with tensorrt 8.6.1, this is 10.3.0"),
        ({"posert": "0.0.1"}, "was built by posert 0.0.1, this is "),
        (
            {"targets": ("8.0", "8.9")},
            "was built for compute capability 8.0, 8.9, NVIDIA H200 has 9.0",
        ),
    ],
    ids=["GPU", "capability", "driver", "TensorRT", "posert", "targets"],
)
@pytest.mark.usefixtures("on_h200")
def test_an_engine_of_elsewhere_is_refused(engine: Path, change: dict[str, Any], why: str) -> None:
    as_tensorrt(engine)
    assert open_own(engine)
    as_tensorrt(engine, **change)
    line = refusal(engine)
    assert line.startswith("pose.engine was built ")
    assert why in line
    assert line.endswith("; run: posert build-engine pose")
    assert read_engine(engine).manifest  # it is whole all the same


@pytest.mark.usefixtures("on_h200")
def test_an_engine_for_named_targets_runs_wherever_they_are(engine: Path) -> None:
    as_tensorrt(engine, device=cpu(), targets=("8.9", "9.0"))
    assert open_own(engine)


def test_an_engine_of_a_gpu_is_refused_where_none_is(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_tensorrt(engine)
    monkeypatch.setattr(module, "installed_version", lambda line: "10.3.0")
    monkeypatch.setattr(module, "first_gpu", lambda: None)
    assert "pose.engine needs an NVIDIA GPU, here is none" in refusal(engine)
    monkeypatch.setattr(module, "installed_version", lambda line: None)
    assert "pose.engine needs tensorrt 10.3.0, which is not installed" in refusal(engine)


def test_an_engine_without_its_manifest_is_refused(engine: Path) -> None:
    sidecar(engine).unlink()
    assert "has no manifest pose.engine.json beside it" in refusal(engine)
    engine.unlink()
    assert "there is no such engine" in refusal(engine)


def test_another_file_than_the_manifests_is_refused(engine: Path) -> None:
    engine.write_bytes(b"")
    assert "is damaged or another file: got sha256 e3b0c44298fc…" in refusal(engine)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("precision", "int4", "precision: got 'int4', expected 'fp32', 'fp16' or 'int8'"),
        ("device", {"name": "NVIDIA L4"}, "'device.compute_capability' is missing"),
        ("device", 3, "device: got 3"),
        ("profile", {"batch": [4, 1, 2], "height": [1, 1, 1], "width": [1, 1, 1]}, "batch 4,1,2"),
        ("schema", 2, "schema 2 is not 1"),
        ("schema", True, "schema: got True, expected a number"),
        ("created", "yesterday", "created 'yesterday' is not a time of ISO 8601"),
        ("gates", {}, "unknown key 'gates' (did you mean 'gate'?)"),
        ("flags", "fp16", "flags: got 'fp16'"),
        ("line_version", "0.0.9", "its key is not that of its facts"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_line(
    engine: Path, key: str, value: object, why: str
) -> None:
    data = json.loads(sidecar(engine).read_text(encoding="utf-8"))
    sidecar(engine).write_text(json.dumps({**data, key: value}), encoding="utf-8")
    line = refusal(engine)
    assert line.startswith(f"{sidecar(engine)}: ")
    assert why in line
    assert "\n" not in line


KEYED: dict[str, Any] = {
    "onnx_sha256": "1" * 64, "posert": "9", "line": "tensorrt", "line_version": "9",
    "device": L4, "precision": "fp16", "form": "maps", "flags": ("fp16",), "targets": ("8.9",),
    "profile": Profile((1, 1, 2), (224, 224, 224), (384, 384, 384)),
    "model": "other", "backend": "onnxruntime-cuda",
}  # fmt: skip


@pytest.mark.parametrize("name", KEYED)
def test_the_key_covers_what_the_engine_depends_on(engine: Path, name: str) -> None:
    made = read_manifest(sidecar(engine))
    assert engine_key(replace(made, **{name: KEYED[name]})) != made.key


@pytest.mark.parametrize(
    "change",
    [{"created": "2020-01-01T00:00:00+00:00"}, {"build_seconds": 9.0}, {"tools": {"onnx": "2"}}],
    ids=["created", "seconds", "tools"],
)
def test_the_key_covers_nothing_else(engine: Path, change: dict[str, Any]) -> None:
    made = read_manifest(sidecar(engine))
    assert engine_key(replace(made, **change)) == made.key


def test_versions_are_those_of_the_modules() -> None:
    import onnxruntime

    assert installed_version("onnxruntime") == onnxruntime.__version__
