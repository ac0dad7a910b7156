"""What is planned: forms, precisions and shapes; and what has an engine built anew."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making.networks import dots_network
from plans import L4, changed_weights, plan_of

from posert.errors import ConfigError, EngineError, ModelError
from posert.manifest import Backend
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")

INT8 = {"backend": "onnxruntime", "precision": "int8", "onnx": "net.int8.onnx"}


@pytest.fixture
def with_int8(tmp_path: Path) -> Path:
    """The dots network with an int8 variant for the CPU."""
    folder = dots_network(tmp_path / "model", variants=[INT8])
    shutil.copy(folder / "net.onnx", folder / "net.int8.onnx")
    return folder


@pytest.mark.parametrize(
    ("backend", "form", "precision"),
    [
        ("onnxruntime", "maps", "fp32"),
        ("onnxruntime-cuda", "compact", "fp16"),
        ("tensorrt", "compact", "fp16"),
        ("tensorrt-rtx", "compact", "fp16"),
    ],
)
def test_auto_is_what_suits_the_backend(
    dots: Path, backend: Backend, form: str, precision: str
) -> None:
    plan = plan_of(dots, backend)
    assert (plan.form, plan.precision) == (form, precision)
    other = plan_of(dots, backend, form="compact", precision="fp32")
    assert (other.form, other.precision) == ("compact", "fp32")


def test_only_the_network_itself_needs_no_build(dots: Path) -> None:
    assert plan_of(dots).as_it_is
    assert not plan_of(dots, form="compact").as_it_is
    assert not plan_of(dots, precision="fp16").as_it_is
    assert not plan_of(dots, "tensorrt", form="maps", precision="fp32").as_it_is


def test_the_cpu_takes_a_shipped_int8_by_itself(with_int8: Path) -> None:
    plan = plan_of(with_int8)
    assert (plan.precision, plan.source.name, plan.as_it_is) == ("int8", "net.int8.onnx", True)
    compact = plan_of(with_int8, form="compact")
    assert (compact.precision, compact.source.name) == ("int8", "net.int8.onnx")
    exact = plan_of(with_int8, precision="fp32")
    assert (exact.precision, exact.source.name, exact.as_it_is) == ("fp32", "net.onnx", True)
    assert plan_of(with_int8, "tensorrt", precision="int8").source.name == "net.onnx"


def test_an_onnx_given_by_its_path_is_taken_itself(with_int8: Path) -> None:
    assert plan_of(with_int8 / "net.onnx").source == with_int8 / "net.onnx"


@pytest.mark.parametrize(
    ("card", "size", "height", "width"),
    [
        ({"size": 384, "multiple": 32}, None, (32, 224, 384), (32, 384, 384)),
        ({"size": 384, "multiple": 32}, 512, (32, 288, 512), (32, 512, 512)),
        ({"size": 384, "multiple": 32}, 32, (32, 32, 32), (32, 32, 32)),
        ({"size": 384, "multiple": 32}, (256, 320), (256,) * 3, (320,) * 3),
        ({"size": [256, 192], "multiple": 32}, None, (256,) * 3, (192,) * 3),
        ({"resize": "stretch"}, None, (64,) * 3, (64,) * 3),
        ({"resize": "stretch"}, 96, (96,) * 3, (96,) * 3),
        ({"fixed": True}, None, (64,) * 3, (64,) * 3),
    ],
)
def test_shapes_to_build_for(
    tmp_path: Path, card: dict[str, Any], size: Any, height: Any, width: Any
) -> None:
    folder = dots_network(tmp_path, input=card)
    build = BuildSettings(batch=(1, 2, 8))
    profile = plan_of(folder, build=build, input_size=size).profile
    assert (profile.height, profile.width, profile.batch) == (height, width, (1, 2, 8))
    assert profile.size == ((height[0], width[0]) if height[0] == height[2] else None)


def test_a_size_the_network_does_not_take_is_refused(dots: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got 63, expected multiples of 4; take 60 or 64"):
        plan_of(dots, input_size=63)
    fixed = dots_network(tmp_path, input={"fixed": True})
    with pytest.raises(ConfigError, match="got 96, expected 64, the only one it takes"):
        plan_of(fixed, input_size=96)


def compact_recipe(folder: Path, **settings: Any) -> str:
    return plan_of(folder, **{"form": "compact", **settings}).request().recipe


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.5}, {"link_threshold": 0.5}, {"min_score": 0.9}, {"min_parts": 5},
        {"max_people": 1}, {"workers": 1}, {"boxes": True}, {"every": 3}, {"input_size": 64},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_host_does_has_nothing_built_anew(dots: Path, settings: Any) -> None:
    assert compact_recipe(dots, **settings) == compact_recipe(dots)


@pytest.mark.parametrize(("cores", "form"), [(7, "maps"), (8, "compact"), (16, "compact")])
def test_a_cpu_of_many_cores_takes_the_compact_form(
    dots: Path, monkeypatch: pytest.MonkeyPatch, cores: int, form: str
) -> None:
    monkeypatch.setattr("posert.building.plan.usable_cores", lambda: cores)
    assert plan_of(dots, "onnxruntime").form == form


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.3}, {"parser": "trt_pose"}, {"max_peaks": 5}, {"form": "maps"},
        {"precision": "fp16"}, {"input_size": 96}, {"input_size": (64, 64)},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_built_in_is_another_engine(dots: Path, settings: Any) -> None:
    assert compact_recipe(dots, **settings) != compact_recipe(dots)


def test_a_run_takes_an_engine_of_any_batch(dots: Path) -> None:
    other = BuildSettings(batch=(1, 1, 1))
    assert compact_recipe(dots, build=other) == compact_recipe(dots)


def test_a_threshold_builds_no_maps_anew(dots: Path) -> None:
    halves = {"form": "maps", "precision": "fp16"}
    assert compact_recipe(dots, **halves) == compact_recipe(dots, threshold=0.01, **halves)


def weights(folder: Path) -> None:
    changed_weights(folder / "net.onnx", 0.5)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: dots_network(folder, parser={"window": 3}),
        lambda folder: dots_network(folder, parser={"samples": 3}),
        lambda folder: dots_network(folder, input={"mean": [0.5, 0.5, 0.5]}),
        lambda folder: dots_network(folder, input={"colour": "bgr"}),
        weights,
    ],
    ids=["window", "samples", "mean", "colour", "weights"],
)
def test_another_card_or_network_is_another_engine(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = dots_network(tmp_path / "model")
    before = compact_recipe(folder)
    assert compact_recipe(folder) == before
    change(folder)
    assert compact_recipe(folder) != before


def test_what_is_only_said_of_a_model_builds_nothing_anew(tmp_path: Path) -> None:
    before = compact_recipe(dots_network(tmp_path))
    assert compact_recipe(dots_network(tmp_path, notes="better", licence="MIT")) == before


def test_the_same_targets_in_any_order_are_the_same_engine(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: "1.7")

    def recipe(*targets: str) -> str:
        return plan_of(dots, "tensorrt-rtx", BuildSettings(targets=targets)).request().recipe

    plan = plan_of(dots, "tensorrt-rtx", BuildSettings(targets=("12.0", "8.9", "8.9")))
    assert plan.targets == ("8.9", "12.0")
    assert recipe("12.0", "8.9") == recipe("8.9", "12.0") != recipe("8.9")


def test_named_targets_are_of_any_machine(dots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: "1.7")
    plan = plan_of(dots, "tensorrt-rtx", BuildSettings(targets=("8.9",)))
    here = plan.request().recipe
    monkeypatch.setattr("posert.building.plan.device_of", lambda backend: L4)
    assert plan.request().recipe == here


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-cuda", "tensorrt"])
def test_only_tensorrt_rtx_builds_for_others(dots: Path, backend: Backend) -> None:
    with pytest.raises(ConfigError, match=f"--target: got {backend}, expected tensorrt-rtx"):
        plan_of(dots, backend, BuildSettings(targets=("8.9",)))


def test_without_a_gpu_the_way_to_build_is_told(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: "1.7")
    monkeypatch.setattr("posert.building.plan.device_of", lambda backend: None)
    with pytest.raises(EngineError, match=r"no NVIDIA GPU here.*--target 8\.9"):
        plan_of(dots, "tensorrt").request()


def test_without_tensorrt_the_way_to_get_it_is_told(
    dots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.plan.installed_version", lambda line: None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError, match="not installed; pip install tensorrt-rtx"):
        plan_of(dots, "tensorrt-rtx").request()


def test_a_cap_that_takes_all_memory_is_refused(dots: Path) -> None:
    assert plan_of(dots, form="compact", max_peaks=200).parser is not None
    with pytest.raises(
        ConfigError, match=r"max_peaks: got 5000, expected at most 256 .*--form maps"
    ):
        plan_of(dots, form="compact", max_peaks=5000)
    assert plan_of(dots, form="maps", max_peaks=5000).as_it_is


def test_auto_takes_maps_where_compact_cannot_be_had(dots: Path, tmp_path: Path) -> None:
    assert plan_of(dots, "tensorrt", max_peaks=256).form == "compact"
    assert plan_of(dots, "tensorrt", max_peaks=300).form == "maps"
    folder = dots_network(tmp_path)
    points = {"keypoints": [str(i) for i in range(18)], "skeleton": []}
    (folder / "topology.json").write_text(json.dumps(points))
    assert plan_of(folder, "tensorrt").form == "maps"


def test_a_model_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    folder = dots_network(tmp_path, onnx="net.pt")
    with pytest.raises(ModelError, match=r"net\.pt: is no ONNX file"):
        plan_of(folder)
