"""The exported ONNX computes what PyTorch computes, fits its card, and is there whole or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from posert.errors import ConfigError, ModelError, OutputError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from posert.training.checkpoint import PoseNetwork  # noqa: E402
from posert.training.export import export_onnx  # noqa: E402


class Tiny(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Layers as trt_pose's networks have them, few of them: stride 4, 2 keypoints, 1 link."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 8, 1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
            torch.nn.ConvTranspose2d(8, 8, 4, 2, 1), torch.nn.BatchNorm2d(8),
        )  # fmt: skip
        self.cmap = torch.nn.Conv2d(8, 2, 1)
        self.paf = torch.nn.Conv2d(8, 2, 1)

    def forward(self, x: Any) -> Any:
        features = self.trunk(x)
        return self.cmap(features).sigmoid(), self.paf(features).tanh()


@pytest.fixture
def network() -> PoseNetwork:
    torch.manual_seed(0)
    module = Tiny()
    module(torch.randn(16, 3, 32, 32) * 3 + 1)  # so that the normalisations are not the identity
    return PoseNetwork("tiny", 2, 1, module.eval())


def shape(value: Any) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", [17, 20])
def test_an_export_has_the_cards_tensors_and_pytorchs_values(
    network: PoseNetwork, tmp_path: Path, opset: int
) -> None:
    path = tmp_path / "new" / "tiny.onnx"
    assert export_onnx(network, path, (64, 96), opset) < 1e-5
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if not o.domain] == [opset]
    (batch, *sides) = shape(model.graph.input[0])
    assert isinstance(batch, str)
    assert sides == [3, 64, 96]
    outputs = {v.name: shape(v)[1:] for v in model.graph.output}
    assert outputs == {"cmap": [2, 16, 24], "paf": [2, 16, 24]}
    picture = np.random.default_rng(1).normal(size=(5, 3, 64, 96)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network.module(torch.from_numpy(picture))
    for found, wanted in zip(
        session.run(["cmap", "paf"], {"input": picture}), expected, strict=True
    ):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)  # float32, another order


def test_an_export_tells_nothing_of_the_machine(network: PoseNetwork, tmp_path: Path) -> None:
    export_onnx(network, tmp_path / "tiny.onnx", (32, 32))
    content = (tmp_path / "tiny.onnx").read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in content
    assert str(Path(__file__).parent).encode() not in content
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.onnx"]


def test_what_the_check_refuses_leaves_the_old_file(network: PoseNetwork, tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"old")

    def refuse(file: Path) -> None:
        assert file.stat().st_size > 100
        raise ModelError("contradicts its card")

    with pytest.raises(ModelError, match="contradicts its card"):
        export_onnx(network, path, (32, 32), check=refuse)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_are_no_numbers_are_refused(network: PoseNetwork, tmp_path: Path) -> None:
    network.module.cmap.bias.data[0] = float("nan")
    with pytest.raises(ModelError, match=r"does not compute what PyTorch computes: got .* nan"):
        export_onnx(network, tmp_path / "tiny.onnx", (32, 32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "opset", "message"),
    [
        ((99968, 99968), 17, r"input size: got \(99968, 99968\), .* at most 4096"),
        ((224, 100), 17, r"input size: got \(224, 100\), expected multiples of 32 pixels"),
        ((0, 32), 17, "input size"),
        ((32, 32), 16, "opset: got 16, expected 17 to 20"),
        ((32, 32), 99, "opset: got 99"),
    ],
)
def test_impossible_settings_are_refused(
    network: PoseNetwork, tmp_path: Path, size: tuple[int, int], opset: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export_onnx(network, tmp_path / "tiny.onnx", size, opset)


def test_a_place_that_cannot_be_written_is_told(network: PoseNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"tiny\.onnx: cannot be written"):
        export_onnx(network, tmp_path / "file" / "tiny.onnx", (32, 32))
