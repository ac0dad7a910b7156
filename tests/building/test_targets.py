"""Engines of TensorRT-RTX for other machines: built without a GPU, judged by their ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest
from plans import builds, engines_in, fixed_batch_network, plan_of

from posert.building.build import provide
from posert.errors import EngineError
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


def test_tensorrt_rtx_builds_for_targets_and_finds_it_again(
    dots: Path, cache_folder: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorrt_rtx")
    caplog.set_level("INFO")
    build = BuildSettings(targets=("8.9",), calibration=pictures)
    plan = plan_of(dots, "tensorrt-rtx", build)
    file = provide(plan, build)
    assert provide(plan, build) == file
    assert builds(caplog) == 1
    made = file.manifest
    assert made is not None
    assert (made.targets, made.form, made.precision) == (("8.9",), "compact", "fp16")
    assert made.gate is not None
    assert (made.gate.pictures, made.gate.passed) == (6, True)
    assert made.gate.map_error is not None
    assert file.path.suffix == ".engine"
    assert len(engines_in(cache_folder)) == 2


def test_tensorrt_rtx_refuses_targets_it_does_not_know(
    dots: Path, cache_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorrt_rtx")
    caplog.set_level("INFO")
    build = BuildSettings(targets=("1.0",))
    plan = plan_of(dots, "tensorrt-rtx", build)
    with pytest.raises(EngineError, match=r"no such compute capability: got 1\.0"):
        provide(plan, build)
    assert builds(caplog) == 0
    assert engines_in(cache_folder) == []


def test_tensorrt_rtx_builds_a_fixed_batch(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    build = BuildSettings(targets=("8.9",))
    made = provide(plan_of(fixed_batch_network(tmp_path, 1), "tensorrt-rtx", build), build).manifest
    assert made is not None
    assert made.profile.batch == (1, 1, 1)
