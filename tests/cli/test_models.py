"""``posert models``: what is known here, and a model's card."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from making.command import Command
from making.networks import dots_network


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_models_lists_every_card(posert: Command) -> None:
    outcome = posert("models")
    assert outcome.code == 0
    rows = {line.split()[0]: line for line in outcome.out.splitlines()[1:] if line.strip()}
    assert set(rows) >= {
        "pose-small", "trt-pose-resnet18-224", "trt-pose-densenet121-256",
        "openpose-coco18-656x368",
    }  # fmt: skip
    assert "here" in rows["pose-small"]
    assert "Apache-2.0" in rows["pose-small"]
    assert "bring it" in rows["trt-pose-resnet18-224"]
    assert "224x224" in rows["trt-pose-resnet18-224"]


def test_own_models_are_listed_first(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dots_network(tmp_path / "mine", name="mine")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path))
    assert posert("models").out.splitlines()[1].startswith("mine")


def test_a_broken_own_card_is_one_line_and_hides_no_other(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.yaml").write_text("name: [")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path))
    outcome = posert("models")
    assert outcome.code == 0
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("mine"))
    assert f"broken: {tmp_path / 'mine' / 'card.yaml'}" in line
    assert "pose-small" in outcome.out


def test_a_model_is_listed_by_the_name_it_is_found_by(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dots_network(tmp_path / "folder", name="inside")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path))
    assert posert("models").out.splitlines()[1].startswith("folder")
    assert posert("models", "show", "folder").code == 0


def test_show_prints_a_card_that_can_be_copied(posert: Command) -> None:
    outcome = posert("models", "show", "pose-small")
    assert outcome.code == 0
    assert yaml.safe_load(outcome.out)["name"] == "pose-small"
    assert "# 18 keypoints: nose, left_eye" in outcome.out
    assert "# 21 links" in outcome.out


def test_show_tells_that_the_onnx_is_to_be_fetched(posert: Command) -> None:
    outcome = posert("models", "show", "trt-pose-densenet121-256")
    assert outcome.code == 0
    assert "is not there yet: see source" in outcome.out


def test_show_of_an_unknown_name_proposes_the_nearest(posert: Command) -> None:
    outcome = posert("models", "show", "trt-pose-resnet-18")
    assert outcome.code == 4
    assert "(did you mean 'trt-pose-resnet18-224'?)" in outcome.refusal()


@pytest.mark.parametrize("how", ["folder", "card.yaml", "net.onnx"])
def test_show_takes_paths(posert: Command, dots: Path, how: str) -> None:
    path = dots if how == "folder" else dots / how
    outcome = posert("models", "show", path)
    assert outcome.code == 0
    assert yaml.safe_load(outcome.out)["name"] == "made"
