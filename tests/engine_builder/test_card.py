"""Model cards: read strictly, found by name, with messages that say what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from making.networks import dots_network, tensor, write_card, write_yaml

import posert
from posert.config import shipped
from posert.engine_builder.card import card_paths, find_card, read_card, read_topology
from posert.errors import EngineError, ModelError

SHIPPED = sorted(shipped("models").glob("*/card.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_card_and_topology_fit(path: Path) -> None:
    card = read_card(path)
    topology = read_topology(card.topology_path)
    (c0, c1), (p0, p1) = card.outputs.cmap.channels, card.outputs.paf.channels
    assert card.name == path.parent.name
    assert c1 - c0 == len(topology.keypoints)
    assert p1 - p0 == 2 * len(topology.links)
    assert card.licence
    assert card.source.url


def test_four_models_are_shipped() -> None:
    assert len(SHIPPED) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "rgb"}, "unknown key 'colour'"),
        ({"topologie": "x"}, r"unknown key 'topologie' \(did you mean 'topology'\?\)"),
        ({"input": {"strid": 4}}, "unknown key 'input.strid'"),
        ({"input": {"meen": [0, 0, 0]}}, r"unknown key 'input.meen' \(did you mean 'mean'\?\)"),
        ({"parser": {"treshold": 1}}, r"unknown key 'parser.treshold' \(did you mean 'threshold'"),
        ({"licence": None}, "'licence' is missing"),
        ({"outputs": {"stride": None}}, "'outputs.stride' is missing"),
        ({"input": {"colour": "grey"}}, "input.colour: got 'grey', expected 'rgb' or 'bgr'"),
        ({"input": {"size": "large"}}, "input.size.*got 'large'"),
        ({"input": {"size": 65}}, "size 65 is not a multiple of 4"),
        ({"input": {"size": [64, 66]}}, "is not a multiple of 4"),
        ({"input": {"mean": [0.5, 0.5]}}, r"input.mean"),
        ({"input": {"std": [1, 0, 1]}}, "scale and std must be positive"),
        ({"input": {"scale": 0}}, "scale and std must be positive"),
        ({"input": {"fill": 256}}, "fill 256 is not a grey level"),
        ({"outputs": {"cmap": tensor("cmap", 5, 5)}}, "is not .first, past the last."),
        ({"outputs": {"stride": 0}}, "stride"),
        ({"parser": {"max_peaks": "many"}}, "parser.max_peaks: got 'many'"),
        ({"parser": {"max_peaks": True}}, "parser.max_peaks: got True, expected a number"),
        ({"input": {"size": 66}}, r"card\.yaml: input: size 66 is not a multiple of 4$"),
    ],
    ids=str,
)
def test_a_wrong_card_is_refused_with_its_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_card(tmp_path, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        read_card(tmp_path / "card.yaml")
    assert str(tmp_path / "card.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["name: [", "a: b: c", "- name", "", "\t", "just words"])
def test_malformed_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"card\.yaml"):
        find_card(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skeleton": [[1, 19]]}, r"skeleton: got \(1, 19\), expected keypoints 1 to 18"),
        ({"skeleton": [[0, 1]]}, r"skeleton: got \(0, 1\), expected keypoints 1 to 18"),
        ({"skeleton": [[1, 2, 3]]}, "skeleton"),
        ({"skeleton": [[1, 2]], "paf_channels": [[0, 2]]}, "each of 2K channels exactly once"),
        ({"skeleton": [[1, 2]], "paf_channels": [[0, 0]]}, "each of 2K channels exactly once"),
        ({"skelton": []}, r"unknown key 'skelton' \(did you mean 'skeleton'\?\)"),
        ({"keypoints": None}, "'keypoints' is missing"),
        ({"keypoints": ["nose", "nose"], "skeleton": [[1, 2]]}, "nose"),
    ],
    ids=str,
)
def test_a_wrong_topology_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = json.loads((shipped("models") / "pose-small" / "topology.json").read_text())
    data = {k: v for k, v in {**good, **changes}.items() if v is not None}
    write_yaml(tmp_path / "topology.json", data)
    with pytest.raises(ModelError, match=message):
        read_topology(tmp_path / "topology.json")


def test_a_model_is_found_by_name_folder_card_and_onnx(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = dots_network(tmp_path / "mine")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path))
    for given in ("mine", folder, folder / "card.yaml", folder / "net.onnx"):
        assert find_card(str(given)).onnx_path.samefile(folder / "net.onnx")
    assert folder / "card.yaml" in card_paths()


def test_own_models_are_preferred_to_shipped_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dots_network(tmp_path / "pose-small")
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path))
    assert find_card("pose-small").folder == tmp_path / "pose-small"


def test_an_onnx_without_a_card_says_what_to_do(tmp_path: Path) -> None:
    (dots_network(tmp_path) / "card.yaml").unlink()
    with pytest.raises(ModelError, match=r"no card\.yaml beside it; write one"):
        find_card(str(tmp_path / "net.onnx"))


@pytest.mark.parametrize("given", ["absent.yaml", "absent/card.yaml", "absent.onnx"])
def test_an_absent_file_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ModelError, match="absent"):
        find_card(str(tmp_path / given))


@pytest.mark.parametrize("ending", ["", ".onnx", ".yaml"])
def test_a_name_that_no_file_can_have_is_refused(ending: str) -> None:
    with pytest.raises(ModelError, match="File name too long") as caught:
        find_card("x" * 5000 + ending)
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_looked_into_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", denied)
    with pytest.raises(ModelError, match="'secret/model': cannot be looked up: got Permission"):
        find_card("secret/model")


def test_an_engine_that_was_copied_without_its_manifest_says_so(tmp_path: Path) -> None:
    (tmp_path / "pose.engine").write_bytes(b"engine")
    with pytest.raises(
        EngineError, match=r"no manifest pose\.engine\.json beside it; copy it along"
    ):
        find_card(str(tmp_path / "pose.engine"))


def test_a_model_whose_onnx_is_absent_says_where_it_comes_from() -> None:
    with pytest.raises(ModelError, match=r"is not there; it comes from https://"):
        posert.Pose("trt-pose-resnet18-224")


def test_a_model_whose_topology_is_absent_is_refused(tmp_path: Path) -> None:
    (dots_network(tmp_path) / "topology.json").unlink()
    with pytest.raises(ModelError, match=r"topology\.json: cannot be read"):
        posert.Pose(tmp_path)


def test_another_file_than_the_card_s_is_refused(tmp_path: Path) -> None:
    shutil.copytree(shipped("models") / "pose-small", tmp_path / "m")
    onnx = tmp_path / "m" / "pose-small.onnx"
    data = bytearray(onnx.read_bytes())
    data[len(data) // 2] ^= 1
    onnx.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged or another file: got sha256 .*expected 3c31601"):
        posert.Pose(tmp_path / "m")
