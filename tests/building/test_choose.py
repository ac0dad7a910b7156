"""Which engine a run gets, and what is said of those it does not get."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from making.pictures import picture
from plans import L4

from posert.building import choose
from posert.building.plan import Plan
from posert.errors import ConfigError, EngineError, ModelError, PosertError
from posert.manifest import Backend, EngineFile
from posert.model_card import ModelCard
from posert.pose import Pose
from posert.runtime.engine import Engine
from posert.runtime.engine import open_engine as run_engine

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posert.runtime.engine.first_gpu", lambda: None)
    monkeypatch.setattr("posert.building.choose.first_gpu", lambda: None)


def only(monkeypatch: pytest.MonkeyPatch, *works: str, reason: str = "it is broken") -> None:
    """Has every backend but ``works`` say that it cannot."""

    def why_not(backend: Backend) -> str | None:
        return None if backend in works else reason

    monkeypatch.setattr(choose, "why_not", why_not)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_cpu_is_taken_without_a_word(
    dots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pose = Pose(dots)
    assert pose.engine.name == "onnxruntime (CPU, fp32, maps form)"
    assert len(pose(picture())) == 1
    assert caplog.records == []


def test_an_idle_gpu_is_told(
    dots: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only(monkeypatch, "onnxruntime", reason="there is no Python module of it")
    monkeypatch.setattr(choose, "first_gpu", lambda: L4)
    Pose(dots)
    (line,) = (record.message for record in caplog.records)
    assert line.startswith("the CPU is used although there is an NVIDIA L4: tensorrt: there is no")
    caplog.clear()
    Pose(dots, backend="onnxruntime")
    assert caplog.records == []


def test_auto_goes_on_where_a_backend_fails(
    dots: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only(monkeypatch, "tensorrt-rtx", "onnxruntime")
    monkeypatch.setattr("posert.building.plan.device_of", lambda backend: None)
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: "1.7")
    monkeypatch.setattr(choose, "first_gpu", lambda: None)
    assert Pose(dots).engine.name.startswith("onnxruntime (CPU")
    (line,) = (record.message for record in caplog.records)
    assert line.startswith("not using tensorrt-rtx: tensorrt-rtx: there is no NVIDIA GPU")


def test_where_nothing_works_all_reasons_are_one_line(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch)
    with pytest.raises(EngineError) as e:
        Pose(dots)
    assert str(e.value) == (
        "no engine works here (tensorrt: it is broken; tensorrt-rtx: it is broken; "
        "onnxruntime-cuda: it is broken; onnxruntime: it is broken); see: posert doctor"
    )


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("backend", "module", "told"),
    [
        ("tensorrt-rtx", "tensorrt_rtx", "TensorRT-RTX is not installed; pip install tensorrt-rtx"),
        ("tensorrt", "tensorrt", "TensorRT is not installed; it comes with NVIDIA's TensorRT"),
    ],
)
def test_a_backend_that_is_absent_says_how_to_get_it(
    dots: Path, monkeypatch: pytest.MonkeyPatch, backend: str, module: str, told: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    monkeypatch.setattr(choose, "installed_version", lambda line: None)
    with pytest.raises(EngineError) as e:
        Pose(dots, backend=backend)
    assert str(e.value).startswith(told)


@pytest.mark.usefixtures("no_gpu")
def test_a_backend_of_gpus_is_refused_without_one(dots: Path) -> None:
    with pytest.raises(EngineError) as e:
        Pose(dots, backend="onnxruntime-cuda")
    assert str(e.value) == (
        "onnxruntime-cuda does not work here: there is no NVIDIA GPU; see: posert doctor"
    )


def test_a_backend_that_fails_is_not_replaced_by_another(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "tensorrt", "onnxruntime")
    monkeypatch.setattr("posert.building.plan.device_of", lambda backend: None)
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: "1.7")
    with pytest.raises(EngineError, match="tensorrt: there is no NVIDIA GPU here"):
        Pose(dots, backend="tensorrt")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("error", [ModelError, EngineError])
def test_auto_takes_maps_where_compact_is_refused(
    dots: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[PosertError],
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise error("it cannot be had; do this")

    monkeypatch.setattr("posert.building.plan.usable_cores", lambda: 8)
    monkeypatch.setattr("posert.building.build.compact", refuse)
    pose = Pose(dots)
    assert pose.engine.form == "maps"
    (line,) = (record.message for record in caplog.records)
    assert line == "taking the maps form, as --form maps does at once: it cannot be had"
    with pytest.raises(error, match="it cannot be had; do this"):
        Pose(dots, form="compact")


def test_an_engine_that_tensorrt_no_longer_takes_is_built_again_once(
    dots: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only(monkeypatch, "tensorrt")
    built: list[bool] = []
    refusals = [EngineError("old.engine cannot run here: serialVersion; build it again")]

    def provide(plan: Plan, *args: object, anew: bool = False, **options: object) -> EngineFile:
        built.append(anew)
        return EngineFile(plan.source)

    def open_engine(card: ModelCard, file: EngineFile, *args: object) -> Engine:
        if refusals:
            raise refusals.pop()
        return run_engine(card, file, "onnxruntime")

    monkeypatch.setattr(choose, "provide", provide)
    monkeypatch.setattr(choose, "open_engine", open_engine)
    Pose(dots, backend="tensorrt", form="maps")
    assert built == [False, True]
    (line,) = (record.message for record in caplog.records)
    assert line == "old.engine cannot run here: serialVersion; building it again"
    refusals += [EngineError("it is the driver")] * 2
    with pytest.raises(EngineError, match="it is the driver"):
        Pose(dots, backend="tensorrt", form="maps")
    assert built == [False, True, False, True]


def test_an_unknown_backend_names_the_nearest(dots: Path) -> None:
    with pytest.raises(EngineError, match=r"did you mean 'onnxruntime'\?"):
        Pose(dots, backend="onnxruntim")


def test_what_is_wrong_with_the_settings_does_not_try_other_backends(dots: Path) -> None:
    with pytest.raises(ConfigError, match="int8 of made: there is nothing to calibrate with"):
        Pose(dots, precision="int8")
