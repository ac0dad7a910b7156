"""Engines in files of the user's own: saved, run, refused; and those of torch2trt."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making.networks import dots_network
from making.pictures import noses, picture
from plans import L4, plan_of, provided

from posert.building.build import provide
from posert.building.files import save
from posert.building.torch2trt import import_torch2trt
from posert.engine_builder.card import find_card
from posert.engine_builder.torch2trt import read_torch2trt
from posert.errors import ConfigError, EngineError, ModelError, OutputError
from posert.manifest import open_own, sidecar
from posert.pose import Pose
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


@pytest.fixture
def engine(made: Path, tmp_path: Path) -> Path:
    """A file with the compact form of the network ``made``, for the CPU."""
    return save(provided(made, form="compact"), tmp_path / "own" / "pose.engine").path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "settings", [{"form": "compact"}, {"precision": "fp16"}, {"precision": "int8"}], ids=str
)
def test_a_saved_engine_runs(made: Path, pictures: Path, tmp_path: Path, settings: Any) -> None:
    built = provided(made, BuildSettings(calibration=pictures), **settings)
    file = save(built, tmp_path / "new" / "pose.engine")
    assert file.manifest == built.manifest
    pose = Pose(file.path)
    assert pose.engine.name == Pose(made, **settings).engine.name
    assert noses(pose(picture())) == [pytest.approx((49.5, 29.5), abs=0.6)]


def test_a_saved_engine_needs_no_cache(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "other"))
    assert len(Pose(engine)(picture())) == 1
    assert not (tmp_path / "other").exists()


def test_saving_replaces_what_is_there(made: Path, engine: Path) -> None:
    other = provided(made, precision="fp16")
    assert save(other, engine).manifest == other.manifest
    assert names(engine.parent) == ["pose.engine", "pose.engine.json"]
    assert Pose(engine).engine.form == "maps"


def test_saving_onto_itself_harms_nothing(engine: Path) -> None:
    before = engine.read_bytes()
    assert save(open_own(engine), engine).path.read_bytes() == before


@pytest.mark.parametrize("name", ["pose.onnx", "pose", "pose.engine.json"])
def test_another_ending_is_refused(made: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"--output: got .* expected a name that ends in \.engine"
    ):
        save(provided(made, form="compact"), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_an_onnx_as_it_is_is_not_saved(made: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"run as it is; give it as --model .*net\.onnx"):
        save(provided(made), tmp_path / "pose.engine")


def test_what_cannot_be_written_leaves_nothing(made: Path, tmp_path: Path) -> None:
    file = provided(made, form="compact")
    (tmp_path / "pose.engine").mkdir()
    with pytest.raises(OutputError, match=r"pose\.engine: cannot be written: got Is a directory"):
        save(file, tmp_path / "pose.engine")
    (tmp_path / "text").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        save(file, tmp_path / "text" / "pose.engine")
    assert names(tmp_path) == ["cache", "models", "pose.engine", "text"]


def test_a_stricter_threshold_and_cap_are_the_hosts(engine: Path) -> None:
    image = picture(noses=[(41.5, 29.5), (69.5, 49.5)])
    assert len(Pose(engine)(image)) == 2
    assert len(Pose(engine, threshold=0.999)(image)) == 0
    assert len(Pose(engine, max_peaks=1)(image)) <= 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"threshold": 0.1}, "threshold: got 0.1, expected at least 0.4, which is built in"),
        (
            {"parser": "trt_pose"},
            "parser: got trt_pose, expected posert, built in; --parser posert",
        ),
        ({"max_peaks": 50}, "max_peaks: got 50, expected at most 16, which are built in"),
        ({"form": "maps"}, "form: got maps, expected compact"),
        ({"precision": "fp16"}, "precision: got fp16, expected fp32"),
        ({"backend": "tensorrt"}, "backend: got tensorrt, expected onnxruntime"),
        ({"input_size": 96}, "input size: got 96, expected 4x4 to 64x64; --input-size 64"),
        ({"input_size": (64, 96)}, "input size: got 64x96, expected 4x4 to 64x64"),
    ],
)
def test_settings_that_contradict_the_engine_are_refused(
    engine: Path, settings: Any, told: str
) -> None:
    with pytest.raises(ConfigError) as e:
        Pose(engine, **settings)
    assert str(e.value).startswith(f"{engine}: {told}")


def test_an_engine_of_one_size_says_which(made: Path, tmp_path: Path) -> None:
    built = provided(made, form="compact", input_size=(64, 96))
    path = save(built, tmp_path / "pose.engine").path
    assert len(Pose(path)(picture())) == 1
    with pytest.raises(ConfigError, match="got 64, expected 64x96; --input-size 64x96"):
        Pose(path, input_size=64)


def edited(engine: Path) -> None:
    text = sidecar(engine).read_text()
    sidecar(engine).write_text(text.replace('"fp32"', '"fp16"'))


def of_another_posert(engine: Path) -> None:
    facts = json.loads(sidecar(engine).read_text())
    sidecar(engine).write_text(json.dumps({**facts, "posert": "0.0.1"}))


def damaged(engine: Path) -> None:
    engine.write_bytes(engine.read_bytes()[:-10])


def alone(engine: Path) -> None:
    sidecar(engine).unlink()


def nonsense(engine: Path) -> None:
    sidecar(engine).write_text("{")


@pytest.mark.parametrize("harm", [edited, of_another_posert, damaged, alone, nonsense])
def test_a_harmed_engine_is_refused(engine: Path, harm: Callable[[Path], None]) -> None:
    harm(engine)
    with pytest.raises(EngineError) as e:
        Pose(engine)
    assert engine.name in str(e.value)
    assert "\n" not in str(e.value)


def test_an_engine_beside_its_card_says_that_its_manifest_is_missing(made: Path) -> None:
    (made / "pose.engine").write_bytes(b"engine")
    with pytest.raises(
        EngineError, match=r"no manifest pose\.engine\.json beside it; copy it along"
    ):
        Pose(made / "pose.engine")


def test_an_engine_for_a_gpu_is_refused_without_one(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr("posert.manifest.first_gpu", lambda: None)
    build = BuildSettings(targets=("8.9",))
    file = save(provide(plan_of(made, "tensorrt-rtx", build), build), tmp_path / "pose.engine")
    with pytest.raises(EngineError, match=r"pose\.engine needs an NVIDIA GPU, here is none"):
        Pose(file.path)


PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + bytes(1000)


def torch2trt_file(path: Path, **changes: Any) -> Path:
    """What torch.save writes of torch2trt's state dict."""
    state = {"engine": PLAN, "input_names": ["input_0"], "output_names": ["o_0", "o_1"], **changes}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model_trt/data.pkl", pickle.dumps(state, protocol=2))
    return path


@pytest.mark.parametrize(
    ("version", "gpu", "told"),
    [
        (None, None, "TensorRT is not installed here"),
        (None, L4, "TensorRT is not installed here"),
        ("10.3.0", None, "there is no NVIDIA GPU here"),
    ],
)
def test_an_engine_of_torch2trt_wants_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Any, gpu: Any, told: str
) -> None:
    monkeypatch.setattr("posert.building.torch2trt.installed_version", lambda line: version)
    monkeypatch.setattr("posert.building.torch2trt.first_gpu", lambda: gpu)
    card = find_card(str(dots_network(tmp_path / "model")))
    engine = read_torch2trt(torch2trt_file(tmp_path / "a_trt.pth"))
    with pytest.raises(EngineError, match=rf"{told} to run the engine .*TensorRT 10\.3\.0"):
        import_torch2trt(engine, card, "fp16", tmp_path / "a.engine")
    assert not (tmp_path / "a.engine").exists()


def test_an_engine_of_torch2trt_must_have_the_cards_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.torch2trt.installed_version", lambda line: "10.3.0")
    monkeypatch.setattr("posert.building.torch2trt.first_gpu", lambda: L4)
    card = find_card(str(dots_network(tmp_path / "model")))
    engine = read_torch2trt(torch2trt_file(tmp_path / "a_trt.pth", output_names=["o_0"]))
    with pytest.raises(ModelError, match="the engine contradicts the card"):
        import_torch2trt(engine, card, "fp16", tmp_path / "a.engine")
    assert not (tmp_path / "a.engine").exists()


@pytest.mark.parametrize("batch", [(1, 1, 1), (1, 4, 8)])
def test_a_manifest_of_torch2trt_says_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: tuple[int, int, int]
) -> None:
    monkeypatch.setattr("posert.building.torch2trt.installed_version", lambda line: "10.3.0")
    monkeypatch.setattr("posert.building.torch2trt.first_gpu", lambda: L4)
    monkeypatch.setattr("posert.building.torch2trt.open_engine", lambda card, file, backend: None)
    card = find_card(str(dots_network(tmp_path / "model")))
    engine = read_torch2trt(torch2trt_file(tmp_path / "a_trt.pth"))
    file = import_torch2trt(engine, card, "fp32", tmp_path / "a.engine", batch)
    made = file.manifest
    assert made is not None
    assert (made.profile.batch, made.precision, made.gate) == (batch, "fp32", None)
    assert (made.flags, file.path.read_bytes()) == (("torch2trt",), PLAN)
