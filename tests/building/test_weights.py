"""ONNX files whose weights lie in files of their own."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from making.command import Command
from making.networks import dots_network
from making.pictures import noses, picture
from plans import builds, engines_in, plan_of, provided

from posert.building.weights import source_sha256
from posert.errors import ModelError
from posert.manifest import file_sha256
from posert.pose import Pose

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


def outside(folder: Path, location: str = "net.data") -> Path:
    """The dots network, its weights in the file ``location``."""
    dots_network(folder)
    model = onnx.load(str(folder / "net.onnx"))
    onnx.save(
        model, str(folder / "net.onnx"), save_as_external_data=True, location=location,
        size_threshold=0,
    )  # fmt: skip
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return outside(tmp_path / "model")


@pytest.fixture
def inside(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model, whose folder is the working directory."""
    monkeypatch.chdir(model)
    return model


def spoil(path: Path) -> None:
    """Other weights in a file of the same size."""
    data = path.read_bytes()
    path.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])


def test_an_onnx_of_one_file_is_known_by_its_bytes(dots: Path) -> None:
    assert source_sha256(dots / "net.onnx") == file_sha256(dots / "net.onnx")


@pytest.mark.parametrize("location", ["net.data", "w" * 127, "w" * 128, "w" * 200, "a b.bin"])
def test_other_weights_are_another_network(tmp_path: Path, location: str) -> None:
    folder = outside(tmp_path / "model", location)
    before = source_sha256(folder / "net.onnx")
    assert source_sha256(folder / "net.onnx") == before
    spoil(folder / location)
    assert source_sha256(folder / "net.onnx") != before


def test_other_weights_beside_the_onnx_are_built_anew(
    inside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = provided(inside, precision="fp16")
    assert provided(inside, precision="fp16") == before
    spoil(inside / "net.data")
    assert provided(inside, precision="fp16").path != before.path
    assert builds(caplog) == 2


@pytest.mark.parametrize("settings", [{}, {"form": "compact"}, {"precision": "fp16"}], ids=str)
def test_the_engine_has_the_weights_in_it(inside: Path, settings: dict[str, str]) -> None:
    people = Pose(inside, **settings)(picture())
    assert noses(people) == [pytest.approx((49.5, 29.5), abs=0.5)]


def test_the_working_directory_does_not_matter(model: Path) -> None:
    assert len(Pose(model)(picture())) == 1


@pytest.mark.parametrize("settings", [[], ["--precision", "fp16"], ["--form", "compact"]], ids=str)
@pytest.mark.parametrize("command", ["run", "build-engine"])
def test_missing_weights_are_one_line(
    posert: Command,
    tmp_path: Path,
    model: Path,
    cache_folder: Path,
    command: str,
    settings: list[str],
) -> None:
    (model / "net.data").unlink()
    pose = ["build-engine", str(model)]
    if command == "run":
        pose = ["run", "a.png", "--model", str(model), "--jsonl", str(tmp_path / "o.jsonl")]
    outcome = posert(*pose, *settings)
    assert outcome.code == 4
    assert f"{model / 'net.onnx'}: its weights are in another file: got no net.data" in (
        outcome.refusal()
    )
    assert engines_in(cache_folder) == []


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    folder = dots_network(tmp_path)
    (folder / "net.onnx").write_bytes(b"\n\x08location\x12\x09/dev/zero")
    with pytest.raises(ModelError, match="no zero beside it"):
        plan_of(folder, precision="fp16").request()
