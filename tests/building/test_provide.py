"""Engines are built once, judged, kept and found again; what the gate refuses is not kept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making.networks import dots_network
from making.pictures import noses, picture
from plans import (
    builds,
    changed_weights,
    engines_in,
    fragile_network,
    provided,
    unknown_operator,
)

from posert.errors import ConfigError, EngineError, InputError, ModelError, OutputError
from posert.pose import Pose
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")

COMPACT: dict[str, Any] = {"form": "compact"}


def test_an_onnx_as_it_is_needs_no_cache(dots: Path, cache_folder: Path) -> None:
    file = provided(dots)
    assert (file.path, file.manifest, file.form) == (dots / "net.onnx", None, "maps")
    assert not cache_folder.exists()


def test_pictures_that_calibrate_nothing_are_told(
    dots: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert provided(dots, BuildSettings(calibration=pictures)).manifest is None
    assert "calibration is left out" in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        {"form": "compact"}, {"precision": "fp16"}, {"form": "compact", "precision": "fp16"},
        {"form": "compact", "parser": "trt_pose"}, {"form": "compact", "input_size": (64, 96)},
    ],
    ids=str,
)  # fmt: skip
def test_every_engine_finds_the_same_people(dots: Path, settings: Any) -> None:
    pose = Pose(dots, **settings)
    plain = Pose(dots, **{**settings, "form": "maps", "precision": "fp32"})
    assert pose.engine.form == settings.get("form", "maps")
    image = picture(noses=[(41.5, 29.5), (69.5, 49.5)])
    found, expected = noses(pose(image)), noses(plain(image))
    assert len(found) == 2
    assert found == [pytest.approx(nose, abs=0.1) for nose in expected]


def test_an_engine_is_built_once_and_said_once(
    dots: Path, cache_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = provided(dots, **COMPACT)
    again = provided(dots, **COMPACT)
    assert again == first
    assert [r.message for r in caplog.records] == [
        "building made for onnxruntime, fp32, compact form, once"
    ]
    assert len(engines_in(cache_folder)) == 2
    made = first.manifest
    assert made is not None
    assert made.gate is not None
    assert (made.gate.passed, made.gate.people_agreement) == (True, 1.0)
    assert made.profile.height == (4, 36, 64)
    assert set(made.tools) == {"onnx", "numpy"}


def test_force_builds_anew(dots: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    provided(dots, **COMPACT)
    provided(dots, BuildSettings(force=True), **COMPACT)
    assert builds(caplog) == 2


SHOW = "print([m for m in ('onnx', 'tensorrt', 'tensorrt_rtx', 'torch') if m in sys.modules])"


@pytest.mark.parametrize(
    ("settings", "warm"),
    [
        (COMPACT, "posert.Pose(sys.argv[1], form='compact')"),
        (COMPACT, "posert.build_engine(sys.argv[1], form='compact')"),
        ({"precision": "int8"}, "posert.Pose(sys.argv[1], precision='int8')"),
    ],
)
def test_a_warm_start_loads_no_builder(
    dots: Path, pictures: Path, settings: Any, warm: str
) -> None:
    provided(dots, BuildSettings(calibration=pictures), **settings)
    code = f"import sys\nimport posert\n{warm}\n{SHOW}"
    run = subprocess.run(
        [sys.executable, "-c", code, str(dots)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
    assert run.stderr == ""


def test_what_the_gate_refuses_is_not_kept(tmp_path: Path, cache_folder: Path) -> None:
    folder = fragile_network(tmp_path / "fragile")
    with pytest.raises(
        EngineError,
        match=r"made for onnxruntime, fp16, maps form is refused: over 16 pictures: map error",
    ) as e:
        provided(folder, precision="fp16")
    assert "--force" in str(e.value)
    assert engines_in(cache_folder) == []


def test_force_keeps_what_the_gate_refuses_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fragile_network(tmp_path / "fragile")
    file = provided(folder, BuildSettings(force=True), precision="fp16")
    assert file.manifest is not None
    assert file.manifest.gate is not None
    assert not file.manifest.gate.passed
    assert "is kept by --force although over 16 pictures: " in caplog.text
    assert provided(folder, precision="fp16") == file


def test_int8_wants_pictures(dots: Path, cache_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to calibrate with.*--calibration"):
        provided(dots, precision="int8")
    with pytest.raises(InputError, match="no picture"):
        provided(dots, BuildSettings(calibration=Path("nowhere")), precision="int8")
    assert engines_in(cache_folder) == []


def test_other_pictures_calibrate_anew_and_the_same_do_not(
    dots: Path, pictures: Path, walk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = provided(dots, BuildSettings(calibration=pictures), precision="int8")
    assert provided(dots, BuildSettings(calibration=pictures), precision="int8") == first
    assert builds(caplog) == 1
    second = provided(dots, BuildSettings(calibration=walk), precision="int8")
    assert builds(caplog) == 2
    assert second != first
    assert "calibrating with 12 pictures" in caplog.text


def test_a_run_takes_the_int8_engine_that_is_there(
    dots: Path, walk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    provided(dots, BuildSettings(calibration=walk), precision="int8")
    pose = Pose(dots, precision="int8")
    assert "int8" in pose.engine.name
    assert noses(pose(picture())) == [pytest.approx((49.5, 29.5), abs=0.6)]
    assert builds(caplog) == 1


def test_a_batch_that_is_asked_for_is_built_and_any_is_run(
    dots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = provided(dots, BuildSettings(batch=(1, 8, 32)), **COMPACT)
    assert provided(dots, **COMPACT) == first
    assert builds(caplog) == 1
    provided(dots, BuildSettings(batch=(1, 1, 1)), **COMPACT)
    assert builds(caplog) == 2


def test_calibration_pictures_build_nothing_else_anew(
    dots: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    provided(dots, BuildSettings(calibration=pictures), **COMPACT)
    provided(dots, **COMPACT)
    assert builds(caplog) == 1


def damaged(engine: Path) -> None:
    engine.write_bytes(engine.read_bytes()[:100])


def without_manifest(engine: Path) -> None:
    engine.with_name(engine.name + ".json").unlink()


def edited(engine: Path) -> None:
    manifest = engine.with_name(engine.name + ".json")
    manifest.write_text(manifest.read_text().replace('"fp32"', '"fp16"'))


@pytest.mark.parametrize("harm", [damaged, without_manifest, edited])
def test_a_run_builds_a_harmed_engine_again_and_says_why(
    dots: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    caplog.set_level("INFO")
    engine = provided(dots, **COMPACT).path
    harm(engine)
    caplog.clear()
    assert len(Pose(dots, **COMPACT)(picture())) == 1
    why, building = (record.message for record in caplog.records)
    assert why.endswith("; building it again")
    assert building.startswith("building made ")
    caplog.clear()
    Pose(dots, **COMPACT)
    assert caplog.records == []


def test_a_changed_onnx_is_built_anew(tmp_path: Path) -> None:
    folder = dots_network(tmp_path / "model")
    before = provided(folder, **COMPACT)
    changed_weights(folder / "net.onnx", 0.5)
    people = Pose(folder, threshold=0.1, **COMPACT)(picture())
    assert provided(folder, **COMPACT).path != before.path
    assert float(people.keypoints[0, 0, 2]) < 0.5  # half the score


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that cannot be written, by root either: a file is in its place."""
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "file"))
    return tmp_path / "file"


def test_a_run_goes_on_without_a_cache(
    dots: Path, unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pose = Pose(dots, **COMPACT)
    assert len(pose(picture())) == 1
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"engine cache {unwritable}: cannot be written" in warnings[0]
    assert warnings[0].endswith("; the engine is not kept")
    assert unwritable.read_text() == "mine"


def test_building_an_engine_to_keep_fails_without_a_cache(dots: Path, unwritable: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: got File exists; set POSERT_CACHE"):
        provided(dots, **COMPACT)


def test_a_full_disk_does_not_build_twice(
    dots: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from posert.engine_builder import cache as module

    write = module._write

    def full(path: Path, data: bytes) -> None:
        if path.is_relative_to(cache_folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(module, "_write", full)
    caplog.set_level("INFO")
    assert len(Pose(dots, **COMPACT)(picture())) == 1
    assert builds(caplog) == 1
    assert "No space left on device" in caplog.text
    assert engines_in(cache_folder) == []


def test_a_truncated_onnx_is_refused_before_anything_is_kept(
    tmp_path: Path, cache_folder: Path
) -> None:
    folder = dots_network(tmp_path / "model")
    data = (folder / "net.onnx").read_bytes()
    (folder / "net.onnx").write_bytes(data[: len(data) // 2])
    for settings in ({}, COMPACT, {"precision": "fp16"}):
        with pytest.raises(ModelError, match="not a complete ONNX file"):
            provided(folder, **settings)
    assert engines_in(cache_folder) == []


def test_an_operator_that_nobody_knows_is_told_of_the_users_own_file(
    tmp_path: Path, cache_folder: Path
) -> None:
    folder = dots_network(tmp_path / "model")
    unknown_operator(folder / "net.onnx")
    for settings in (COMPACT, {"precision": "fp16"}):
        with pytest.raises(ModelError, match=r"onnxruntime refuses it: .*acme:Magic") as e:
            Pose(folder, **settings)
        assert str(e.value).startswith(f"{folder / 'net.onnx'}: ")
    assert engines_in(cache_folder) == []


def test_an_onnx_that_contradicts_its_card_is_refused(tmp_path: Path, cache_folder: Path) -> None:
    folder = dots_network(tmp_path / "model", input={"name": "pixels"})
    with pytest.raises(ModelError, match="contradicts its card: input: card 'pixels'"):
        provided(folder, **COMPACT)
    assert engines_in(cache_folder) == []
