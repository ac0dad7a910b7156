"""``posert export``: from a checkpoint to an ONNX that its card accepts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from making.command import Command

from posert.config import shipped
from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.onnx_check import check_onnx

CARD = "trt-pose-resnet18-224"
ARCHITECTURE = "resnet18_baseline_att"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the name of the public ones."""
    torch = pytest.importorskip("torch")
    from posert.training.networks import build_network

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pth") / f"{ARCHITECTURE}_224x224_A_epoch_249.pth"
    torch.save(build_network(ARCHITECTURE).state_dict(), path)
    return path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models of the user, with a copy of the shipped card, found first."""
    shutil.copytree(shipped("models") / CARD, tmp_path / "models" / CARD)
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models" / CARD


@pytest.mark.slow
def test_the_public_weights_become_the_onnx_of_their_card(
    posert: Command, checkpoint: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("COLUMNS", "200")
    outcome = posert("export", checkpoint, "--arch", ARCHITECTURE)
    assert outcome.code == 0, outcome.err
    onnx = models / f"{checkpoint.stem}.onnx"
    assert onnx.is_file()
    assert f"{onnx}: {ARCHITECTURE}, 18 keypoints, 21 links" in outcome.out
    assert f"next: posert run VIDEO --model {onnx}" in outcome.out
    check_onnx(find_card(CARD), read_topology(models / "topology.json"))
    rows = [line for line in posert("models").out.splitlines() if line.startswith(CARD)]
    assert "here" in rows[0]  # of the user's folder, which is searched first


@pytest.mark.slow
def test_elsewhere_the_card_to_copy_is_named(
    posert: Command, checkpoint: Path, models: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    onnx = tmp_path / "mine.onnx"
    outcome = posert("export", checkpoint, "-o", onnx, "--size", "64x96")
    assert outcome.code == 0, outcome.err
    assert "input N x 3 x 64 x 96" in outcome.out
    assert f"next: copy {models / 'card.yaml'} and topology.json beside it" in outcome.out
    assert "set its input size to [64, 96]" in outcome.out


@pytest.mark.slow
def test_a_size_that_the_card_beside_it_has_not_is_refused(
    posert: Command, checkpoint: Path, models: Path
) -> None:
    pytest.importorskip("onnxscript")
    outcome = posert("export", checkpoint, "--size", "64x64")
    assert outcome.code == 4
    onnx = models / f"{checkpoint.stem}.onnx"
    assert f"{onnx} contradicts its card" in outcome.refusal()
    assert "card 224 x 224, ONNX n x 3 x 64 x 64" in outcome.refusal()
    assert not onnx.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--arch", "resnet20_baseline"), 6, "no architecture 'resnet20_baseline'"),
        (("--arch", "resnet34_baseline_att"), 4, f"--arch {ARCHITECTURE} fits"),
        (("--size", "wide"), 6, "--size: got wide, expected HxW"),
        (("--size", "100x100"), 6, "expected multiples of 32"),
        (("--size", "99968x99968"), 6, "expected multiples of 32 pixels, at most 4096"),
        (("-o", "net.pb"), 6, "--output: got net.pb, expected a name that ends in .onnx"),
        (("--opset", "9"), 6, "opset: got 9, expected 17 to 20"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_a_line(
    posert: Command,
    checkpoint: Path,
    models: Path,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    before = sorted(models.iterdir())
    outcome = posert("export", checkpoint, *arguments)
    assert outcome.code == code
    assert message in outcome.refusal()
    assert sorted(models.iterdir()) == before


def test_a_file_that_is_no_checkpoint_is_refused(posert: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.pth").write_bytes(b"nothing")
    outcome = posert("export", tmp_path / "net.pth")
    assert outcome.code == 4
    assert "is damaged or no PyTorch checkpoint" in outcome.refusal()
    assert not (tmp_path / "net.onnx").exists()


def test_without_pytorch_the_extra_is_named(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = posert("export", tmp_path / "net.pth")
    assert outcome.code == 9
    assert outcome.refusal().endswith("needs PyTorch; pip install 'posert[train]'")
