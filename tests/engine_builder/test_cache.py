"""The engine cache: what was built is found again, verified, and or built anew."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from making.command import PATIENCE_S
from making.engines import ENGINE, GATE, built, changed, endings, never, request, start

from posert.engine_builder import cache as module
from posert.engine_builder.cache import Built, Cache
from posert.errors import EngineError
from posert.gpu import Device
from posert.manifest import Profile, as_json, read_manifest, sidecar


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_was_built_is_found_again(cache: Cache) -> None:
    assert cache.find(request()) is None
    first = cache.get_or_build(request(), built)
    again = cache.get_or_build(request(), never)
    assert again == first == cache.find(request())
    assert first.path.read_bytes() == ENGINE
    assert (first.form, first.precision, first.size) == ("compact", "int8", (224, 384))
    assert first.manifest is not None
    assert (first.manifest.model, first.manifest.gate) == ("pose", GATE)
    assert first.manifest.parser == {"threshold": 0.05, "max_peaks": 100}
    assert endings(cache) == ["onnx", "onnx.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"form": "maps"},
        {"precision": "fp16"},
        {"source_sha256": "8" * 64},
        {"line_version": "0.1"},
        {"device": Device("NVIDIA L4", "8.9", 13)},
        {"profile": Profile((1, 1, 1), (32, 224, 384), (384, 384, 384))},
        {"targets": ("8.9",)},
        {"parser": {"threshold": 0.06, "max_peaks": 100}},
        {"options": {"calibration": "9" * 64}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_is_another_engine(cache: Cache, change: dict[str, Any]) -> None:
    first = cache.get_or_build(request(), built)
    other = cache.get_or_build(request(**change), lambda: built(b"other"))
    assert other.path != first.path
    assert cache.find(request()) == first


def test_an_engine_for_named_targets_is_found_from_another_machine(cache: Cache) -> None:
    aimed = request(backend="tensorrt-rtx", line="tensorrt-rtx", targets=("8.9",))
    engine = cache.get_or_build(aimed, built)
    assert engine.path.suffix == ".engine"
    moved = request(
        backend="tensorrt-rtx", line="tensorrt-rtx", targets=("8.9",),
        device=Device("NVIDIA L4", "8.9", 13),
    )  # fmt: skip
    assert cache.find(moved) == engine


def test_other_code_of_the_builder_is_another_engine(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = cache.get_or_build(request(), built)
    for folder in ("engine_builder", "postprocess"):
        (tmp_path / "posert" / folder).mkdir(parents=True)
        (tmp_path / "posert" / folder / "a.py").write_text("x = 1")
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "posert")
    recipes = []
    for code in ("x = 1", "x = 2"):
        (tmp_path / "posert" / "postprocess" / "a.py").write_text(code)
        module._code.cache_clear()
        recipes.append(request().recipe)
        assert cache.find(request()) is None
    module._code.cache_clear()
    monkeypatch.undo()
    assert recipes[0] != recipes[1]
    assert cache.find(request()) == first


def test_a_warm_find_takes_no_heavy_import(cache: Cache) -> None:
    cache.get_or_build(request(), built)
    code = (
        "assert Cache(Path(sys.argv[2])).find(request())\n"
        "heavy = {'onnx', 'onnxruntime', 'tensorrt', 'cv2', 'torch', 'scipy'} & {*sys.modules}\n"
        "assert not heavy, heavy"
    )
    process = start(cache, code)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")


def damage(engine: Path, how: str) -> None:
    manifest = sidecar(engine)
    if how == "damaged":
        engine.write_bytes(ENGINE.replace(b"n", b"m", 1))
    elif how == "truncated":
        engine.write_bytes(ENGINE[:-1])
    elif how == "gone":
        engine.unlink()
    elif how == "no manifest":
        manifest.unlink()
    elif how == "not JSON":
        manifest.write_text("{", encoding="utf-8")
    elif how == "not text":
        manifest.write_bytes(b"\xff\xfe")
    elif how == "too deep":
        manifest.write_text("[" * 200_000, encoding="utf-8")
    elif how == "edited":
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace('"int8"', '"fp16"'), encoding="utf-8")
    elif how == "older schema":
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace('"schema": 1', '"schema": 0'), encoding="utf-8")
    elif how == "key missing":
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace('"recipe"', '"receipt"'), encoding="utf-8")
    else:
        raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("damaged", "is damaged or another file"),
        ("truncated", "is damaged or another file"),
        ("gone", "there is no such engine"),
        ("no manifest", r"has no manifest \w+.onnx.json beside it"),
        ("not JSON", "line 1"),
        ("not text", "is not text"),
        ("too deep", "is nested too deeply"),
        ("edited", "its key is not that of its facts"),
        ("older schema", "schema 0 is not 1"),
        ("key missing", "'recipe'|'receipt'"),
    ],
)
def test_what_is_damaged_is_built_again_with_one_line_of_why(
    cache: Cache, caplog: pytest.LogCaptureFixture, how: str, why: str
) -> None:
    engine = cache.get_or_build(request(), built)
    damage(engine.path, how)
    assert cache.find(request()) is None
    again = cache.get_or_build(request(), built)
    assert again.path == engine.path
    assert again.path.read_bytes() == ENGINE
    assert cache.find(request()) == again
    (line,) = caplog.messages
    assert re.search(why, line)
    assert line.endswith("; building it again")
    assert endings(cache) == ["onnx", "onnx.json"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"posert": "0.0.1"}, "was built by posert 0.0.1, this is "),
        ({"line_version": "1.2"}, "was built with onnxruntime 1.2, this is "),
        ({"device": Device("NVIDIA L4", "8.9", 13)}, "was built for NVIDIA L4, this is "),
        ({"recipe": "0" * 64}, "is the engine of another request"),
    ],
    ids=["posert", "version", "device", "recipe"],
)
def test_what_is_foreign_is_built_again_with_one_line_of_why(
    cache: Cache, caplog: pytest.LogCaptureFixture, change: dict[str, Any], why: str
) -> None:
    path = cache.get_or_build(request(), built).path
    other = changed(read_manifest(sidecar(path)), **change)
    sidecar(path).write_text(as_json(other), encoding="utf-8")
    assert cache.find(request()) is None
    cache.get_or_build(request(), lambda: built(b"new"))
    assert path.read_bytes() == b"new"
    (line,) = caplog.messages
    assert why in line


def test_after_an_upgrade_the_line_tells_why_it_is_built(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    old = cache.get_or_build(request(line_version="1.2"), built)
    assert not caplog.messages
    cache.get_or_build(request(), built)
    (line,) = caplog.messages
    assert line.startswith(f"{old.path}: was built with onnxruntime 1.2, this is ")
    assert old.path.is_file()  # another machine that shares the folder may use it


def test_force_builds_again(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    cache.get_or_build(request(), built)
    engine = cache.get_or_build(request(), lambda: built(b"new"), force=True)
    assert engine.path.read_bytes() == b"new"
    assert cache.find(request()) == engine
    assert not caplog.messages


def test_a_build_that_fails_leaves_what_was_here(cache: Cache) -> None:
    first = cache.get_or_build(request(), built)

    def refused() -> Built:
        raise EngineError("the accuracy gate refuses it")

    with pytest.raises(EngineError, match="gate"):
        cache.get_or_build(request(), refused, force=True)
    assert cache.find(request()) == first
    with pytest.raises(EngineError, match="gate"):
        cache.get_or_build(request(form="maps"), refused)
    assert endings(cache) == ["onnx", "onnx.json"]


def test_folders_are_for_their_owner_alone(cache: Cache) -> None:
    engine = cache.get_or_build(request(), built)
    for folder in (cache.folder, engine.path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("model", ["../../elsewhere", "/etc/model", "..", "a b", "x" * 300])
def test_no_model_leaves_the_cache(cache: Cache, model: str) -> None:
    engine = cache.get_or_build(request(model=model), built)
    assert engine.path.resolve().parent.parent == cache.folder.resolve()
    assert cache.find(request(model=model)) == engine
