"""``posert engines``: what is in the cache, whether it can be used here, and clearing it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
from making.command import Command
from making.engines import GATE, built, changed, request

from posert.engine_builder.cache import Cache
from posert.engine_builder.inventory import prune
from posert.gpu import Device
from posert.manifest import as_json, read_manifest, sidecar


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "cache"))
    return Cache()


def l4_engine(cache: Cache) -> Path:
    l4 = request(
        backend="tensorrt", line="tensorrt", line_version="0.1", precision="fp16",
        device=Device("NVIDIA L4", "8.9", 13),
    )  # fmt: skip
    return cache.get_or_build(l4, lambda: built(b"x" * 2_000_000)).path


def damaged_engine(cache: Cache) -> Path:
    path = cache.get_or_build(request(form="maps"), built).path
    path.write_bytes(b"y" * 1_500_000)
    return path


def built_in_2020(engine: Path) -> None:
    made = changed(read_manifest(sidecar(engine)), created="2020-01-02T03:04:05+00:00")
    sidecar(engine).write_text(as_json(made), encoding="utf-8")


def rows(posert: Command) -> list[str]:
    outcome = posert("engines")
    assert outcome.code == 0
    return [" ".join(line.split()) for line in outcome.out.splitlines()[1:]]


def test_an_empty_cache_is_one_line(posert: Command, cache: Cache) -> None:
    outcome = posert("engines")
    assert (outcome.code, outcome.out) == (0, f"no engines in {cache.folder}\n")
    assert posert("engines", "prune").out == "nothing to remove\n"
    assert not cache.folder.exists()


def test_every_engine_is_told_with_why_it_cannot_be_used(posert: Command, cache: Cache) -> None:
    built_in_2020(cache.get_or_build(request(), built).path)
    l4_engine(cache)
    damaged = damaged_engine(cache)
    told = rows(posert)
    assert len(told) == 3
    (usable,) = (row for row in told if row.endswith(" usable"))
    assert usable.startswith("pose onnxruntime compact int8 ")
    assert usable.endswith(" 0.0 2020-01-02 03:04 usable")
    (foreign,) = (row for row in told if "NVIDIA L4" in row)
    assert foreign.startswith("pose tensorrt compact fp16 NVIDIA L4 2.0 ")
    assert " tensorrt 0.1" in foreign
    assert any(f"{damaged}: is damaged or another file" in row for row in told)


def test_on_a_terminal_of_80_columns_nothing_is_cut_off(
    posert: Command, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    aimed = request(model="trt-pose-resnet18-224", backend="tensorrt-rtx", line="tensorrt-rtx")
    cache.get_or_build(aimed, built)
    damaged = damaged_engine(cache)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    outcome = posert("engines")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "here" in lines[0].split()
    assert any(line.startswith("trt-pose-resnet18-224 ") for line in lines)
    assert any(line.startswith("tensorrt-rtx int8 compact ") for line in lines)
    last_column = lines[0].index("here")
    assert str(damaged) in "".join(line[last_column:].strip() for line in lines)


def test_what_the_gate_refused_and_force_kept_is_shown_so(posert: Command, cache: Cache) -> None:
    engine = cache.get_or_build(request(), built).path
    made = changed(read_manifest(sidecar(engine)), gate=replace(GATE, passed=False))
    sidecar(engine).write_text(as_json(made), encoding="utf-8")
    (row,) = rows(posert)
    assert row.endswith(" usable, but the gate refused it")


def test_an_engine_without_a_manifest_is_listed(posert: Command, cache: Cache) -> None:
    engine = cache.get_or_build(request(), built).path
    sidecar(engine).unlink()
    (row,) = rows(posert)
    assert row.startswith("pose ? ? ? ? 0.0 ? ")
    assert "has no manifest" in row


def test_a_manifest_without_its_engine_is_listed(posert: Command, cache: Cache) -> None:
    engine = cache.get_or_build(request(), built).path
    engine.unlink()
    (row,) = rows(posert)
    assert row.startswith("pose onnxruntime compact int8 ")
    assert f"{engine}: there is no such engine" in row


def test_the_list_as_json(posert: Command, cache: Cache, tmp_path: Path) -> None:
    engine = cache.get_or_build(request(), built).path
    damaged_engine(cache)
    assert posert("engines", "--json", tmp_path / "list.json").code == 0
    told = json.loads((tmp_path / "list.json").read_text())
    assert told["folder"] == str(cache.folder)
    by_path = {one["path"]: one for one in told["engines"]}
    assert by_path[str(engine)]["usable"] is True
    assert by_path[str(engine)]["why_not"] is None
    assert by_path[str(engine)]["manifest"]["gate"]["peak_agreement"] == 0.99
    assert sorted(one["usable"] for one in told["engines"]) == [False, True]


def test_prune_removes_what_is_damaged_and_says_what_was_freed(
    posert: Command, cache: Cache
) -> None:
    usable = cache.get_or_build(request(), built).path
    foreign, damaged = l4_engine(cache), damaged_engine(cache)
    outcome = posert("engines", "prune")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert f"removed {damaged} (1.5 MB)" in lines
    assert lines[-2:] == [
        "1.5 MB freed",
        "1 of other devices or versions kept; --foreign removes them",
    ]
    assert usable.is_file()
    assert foreign.is_file()
    assert not [*damaged.parent.glob(f"{damaged.stem}*")]
    assert posert("engines", "prune", "--foreign").out.endswith("\n2.0 MB freed\n")
    assert not foreign.exists()
    assert cache.find(request())


def test_prune_by_age_and_prune_all(posert: Command, cache: Cache) -> None:
    old = cache.get_or_build(request(), built).path
    new = cache.get_or_build(request(form="maps"), built).path
    built_in_2020(old)
    assert posert("engines", "prune", "--older-than", "30").code == 0
    assert not old.exists()
    assert new.exists()
    assert posert("engines", "prune", "--all").code == 0
    assert not [*cache.folder.iterdir()]


@pytest.mark.parametrize("days", ["1e12", "1e400"])
def test_days_beyond_any_calendar_remove_nothing(posert: Command, cache: Cache, days: str) -> None:
    cache.get_or_build(request(), built)
    outcome = posert("engines", "prune", "--older-than", days)
    assert (outcome.code, outcome.out) == (0, "nothing to remove\n")
    assert cache.find(request())


def test_prune_clears_locks_of_killed_builds(posert: Command, cache: Cache) -> None:
    engine = cache.get_or_build(request(), built).path
    locks = [engine.with_suffix(".lock"), engine.with_name("0123456789abcdef.lock")]
    for lock in locks:
        lock.touch()
    outcome = posert("engines", "prune")
    assert outcome.code == 0
    assert all(f"removed {lock} (0.0 MB)" in outcome.out for lock in locks)
    assert [path for path in engine.parent.iterdir() if path.suffix == ".lock"] == []
    assert posert("engines", "prune").out == "nothing to remove\n"


def test_a_folder_in_an_engines_place_is_told_of_and_the_rest_is_pruned(
    posert: Command, cache: Cache
) -> None:
    engine = cache.get_or_build(request(), built).path
    folder = engine.with_name("0123456789abcdef.engine")
    (folder / "mine").mkdir(parents=True)
    outcome = posert("engines", "prune", "--all")
    assert outcome.code == 0
    told = "".join(outcome.err.split())
    assert f"{folder} is a folder: it is left alone".replace(" ", "") in told
    assert (folder / "mine").is_dir()
    assert not engine.exists()


def test_prune_clears_after_killed_builds_but_not_during_one(posert: Command, cache: Cache) -> None:
    engine = cache.get_or_build(request(), built).path
    left = engine.with_name(engine.name + ".tmp")
    left.write_bytes(b"half")
    lone = engine.with_name("0123456789abcdef.engine.tmp")
    lone.write_bytes(b"half")
    building = engine.with_name("fedcba9876543210.engine.tmp")
    building.write_bytes(b"half")
    with filelock.FileLock(building.with_name("fedcba9876543210.lock")):
        assert posert("engines", "prune").code == 0
    assert (left.exists(), lone.exists(), building.exists()) == (False, False, True)
    assert cache.find(request())


def test_prune_spares_what_is_built_meanwhile(cache: Cache) -> None:
    models = ["a", "b"]  # in the order in which they are looked at
    for model in models:
        cache.get_or_build(request(model=model), built).path.write_bytes(b"")
    removing = prune(cache.folder, lambda entry: entry.broken is not None)
    assert next(removing)[0].parent.name == "a"
    mended = cache.get_or_build(request(model="b"), lambda: built(b"new"))
    assert {path.parent.name for path, _ in removing} == {"a"}
    assert cache.find(request(model="b")) == mended


def test_prune_leaves_the_files_of_others(posert: Command, cache: Cache) -> None:
    cache.get_or_build(request(), built)
    others = [cache.folder / "pose" / "thesis.onnx", cache.folder / "notes.txt"]
    for path in others:
        path.write_text("mine")
    assert posert("engines", "prune", "--all").code == 0
    assert all(path.read_text() == "mine" for path in others)
    assert len([*cache.folder.rglob("*")]) == 3


@pytest.mark.parametrize("command", [["engines"], ["engines", "prune"]])
def test_a_file_in_the_place_of_the_cache_is_one_line(
    posert: Command, cache: Cache, command: list[str]
) -> None:
    cache.folder.write_text("mine")
    outcome = posert(*command)
    assert outcome.code == 5
    assert f"engine cache {cache.folder}: cannot be read: got Not a directory" in outcome.refusal()
