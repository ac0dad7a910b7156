"""Engines are built once, judged, kept and found again; what the gate refuses is not kept."""

from __future__ import annotations

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
)

from posert.errors import ConfigError, EngineError, InputError
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
    caplog.clear()
    assert provided(folder, precision="fp16") == file
    (line,) = (record.message for record in caplog.records)
    assert line.startswith("made for onnxruntime, fp16, maps form was kept by --force although ")


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
    provided(dots, BuildSettings(calibration=pictures / "0.png"), precision="int8")
    assert "calibrating with 1 picture\n" in caplog.text


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


@pytest.mark.parametrize("parser", ["posert", "trt_pose"])
def test_an_engine_is_held_against_a_network_of_the_same_cap(
    dots: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    """Of two people the first is the fainter: of one peak a type both sides keep the same."""
    faint, clear = picture(noses=[(29.5, 13.5)]) // 4 * 3, picture(noses=[(69.5, 49.5)])
    monkeypatch.setattr("posert.building.build.shipped_pictures", lambda count: [faint + clear])
    made = provided(dots, max_peaks=1, parser=parser, **COMPACT).manifest
    assert made is not None
    assert made.gate is not None
    gate = made.gate
    assert (gate.people, gate.peak_agreement, gate.people_agreement) == (1, 1, 1)


def test_own_pictures_replace_a_shipped_int8(tmp_path: Path, pictures: Path) -> None:
    variants = [{"backend": "onnxruntime", "precision": "int8", "onnx": "net.int8.onnx"}]
    folder = dots_network(tmp_path / "model", variants=variants)
    (folder / "net.int8.onnx").write_bytes((folder / "net.onnx").read_bytes())
    with pytest.raises(InputError, match="no picture"):
        provided(folder, BuildSettings(calibration=Path("nowhere")), precision="int8")
    own = BuildSettings(calibration=pictures)
    made = provided(folder, own, precision="int8").manifest
    assert made is not None
    assert any(flag.startswith("calibration=") for flag in made.flags)
    assert provided(folder, precision="int8").path == folder / "net.int8.onnx"
    compact = {**COMPACT, "precision": "int8"}
    assert provided(folder, own, **compact).path != provided(folder, **compact).path


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
