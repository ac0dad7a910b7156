"""Networks that are unlike most: what is built of them, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from making.networks import dots_network
from making.pictures import picture
from plans import (
    engines_in,
    fixed_batch_network,
    network_of_functions,
    provided,
    unknown_operator,
)

from posert.config import shipped
from posert.errors import ModelError
from posert.pose import Pose
from posert.settings import BuildSettings

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")

COMPACT: dict[str, Any] = {"form": "compact"}


def test_a_fixed_batch_is_what_is_built(tmp_path: Path) -> None:
    folder = fixed_batch_network(tmp_path / "model", 1)
    for build in (BuildSettings(), BuildSettings(batch=(1, 1, 1))):
        made = provided(folder, build, **COMPACT).manifest
        assert made is not None
        assert made.profile.batch == (1, 1, 1)
    assert provided(folder, **COMPACT).manifest == made
    with pytest.raises(ModelError, match="batch: got 1,4,16, expected 1,1,1, the only one it take"):
        provided(folder, BuildSettings(batch=(1, 4, 16)), **COMPACT)


def test_functions_of_the_network_are_no_obstacle(tmp_path: Path) -> None:
    folder = network_of_functions(tmp_path / "model")
    for settings in (COMPACT, {"precision": "fp16"}, {**COMPACT, "precision": "fp16"}):
        assert len(Pose(folder, **settings)(picture())) == 1


def test_a_quantised_onnx_is_told_apart(pictures: Path) -> None:
    path = shipped("models") / "pose-small" / "pose-small.int8.onnx"
    assert provided(path).precision == "int8"
    assert provided(path, precision="int8").path == path
    for precision in ("fp16", "fp32"):
        with pytest.raises(ModelError, match=f"quantised already: got precision {precision}"):
            provided(path, precision=precision)
    with pytest.raises(ModelError, match="quantised already: got calibration"):
        provided(path, BuildSettings(calibration=pictures), precision="int8")


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
