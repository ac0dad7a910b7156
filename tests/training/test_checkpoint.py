"""Checkpoints of many makings are read; what holds more than weights is refused, never run."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from posert.errors import EngineError, ModelError
from posert.training.checkpoint import load_network, read_state

ARCHITECTURE = "resnet18_baseline_att"


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def state(torch: Any) -> dict[str, Any]:
    from posert.training.networks import build_network

    return dict(build_network(ARCHITECTURE, 5, 4).state_dict())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.pth"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_both_formats_are_read(torch: Any, state: dict[str, Any], path: Path, zipped: bool) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    network = load_network(path, ARCHITECTURE)
    assert (network.keypoints, network.links) == (5, 4)
    loaded = network.module.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert not network.module.training


def test_the_architecture_is_found_by_the_weights(
    torch: Any, state: dict[str, Any], path: Path
) -> None:
    torch.save(state, path)
    assert load_network(path).architecture == ARCHITECTURE


def test_a_wrapped_state_of_several_gpus_is_read(
    torch: Any, state: dict[str, Any], path: Path
) -> None:
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": v for name, v in state.items()}}
    torch.save(wrapped, path)
    assert read_state(path).keys() == state.keys()
    assert load_network(path).architecture == ARCHITECTURE


def test_half_precision_and_missing_counters_are_made_good(
    torch: Any, state: dict[str, Any], path: Path
) -> None:
    halves = {n: v.half() for n, v in state.items() if not n.endswith("num_batches_tracked")}
    torch.save(halves, path)
    network = load_network(path)
    assert {v.dtype for v in network.module.parameters()} == {torch.float32}


def test_another_architecture_is_refused_with_the_keys_and_the_one_that_fits(
    torch: Any, state: dict[str, Any], path: Path
) -> None:
    torch.save(state, path)
    with pytest.raises(ModelError) as caught:
        load_network(path, "resnet34_baseline")
    message = str(caught.value)
    assert "no weights of resnet34_baseline: " in message
    assert "keys missing (0.resnet.layer1.2.conv1.weight, " in message
    assert "keys unexpected (1.cmap_up.0.weight, " in message
    assert message.endswith(f"--arch {ARCHITECTURE} fits")
    assert "\n" not in message


def test_weights_of_another_shape_are_told(torch: Any, state: dict[str, Any], path: Path) -> None:
    torch.save(state | {"0.resnet.conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
    with pytest.raises(ModelError, match=r"1 keys of another shape \(0\.resnet\.conv1\.weight\)"):
        load_network(path, ARCHITECTURE)
    with pytest.raises(ModelError, match="the weights fit no architecture known here"):
        load_network(path)


def test_an_odd_number_of_fields_is_refused(torch: Any, state: dict[str, Any], path: Path) -> None:
    torch.save(state | {"1.paf_conv.weight": torch.zeros(7, 256, 1, 1)}, path)
    with pytest.raises(ModelError, match="paf channels: got 7, expected two a link"):
        load_network(path)


def test_weights_of_something_else_are_refused(torch: Any, path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(ModelError, match="no weights of a trt_pose network: got keys as weight"):
        load_network(path)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._target),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_a_pickle_bomb_does_not_go_off(
    torch: Any, tmp_path: Path, path: Path, zipped: bool
) -> None:
    crater = tmp_path / "crater"
    bomb = {"1.cmap_conv.weight": Bomb(crater)}
    torch.save(bomb, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"refused, nothing in it was run: .* posix\.mkdir"):
        load_network(path)
    assert not crater.exists()
    torch.load(path, weights_only=False)  # it was live
    assert crater.exists()


def test_a_whole_pickled_model_is_refused_with_what_to_save_instead(torch: Any, path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3), path)
    with pytest.raises(ModelError, match=r"asks for torch\.nn.*torch\.save\(model\.state_dict"):
        load_network(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(
    torch: Any, path: Path, zipped: bool, share: float
) -> None:
    torch.save({"a": torch.zeros(1000)}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match="is damaged or no PyTorch checkpoint") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"no network\n" * 9, bytes(99), b"PK\x03\x04" + bytes(99)])
def test_another_file_is_refused(torch: Any, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged or no PyTorch checkpoint"):
        load_network(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "got a list, expected a state dict"),
        ({}, "got a dict, expected a state dict"),
        ({"lr": 0.1}, "'lr': got a float, expected a tensor"),
        ({"engine": bytearray(b"plan")}, "TensorRT engine of torch2trt.*posert build-engine"),
    ],
)
def test_what_is_no_state_dict_is_refused(
    torch: Any, path: Path, value: object, message: str
) -> None:
    torch.save(value, path)
    with pytest.raises(ModelError, match=message):
        load_network(path)


class Hiding:
    """Unpickled, a state dict with attributes in place of its methods."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def __reduce__(self) -> Any:
        attributes = dict.fromkeys(("get", "items", "keys"), 1)
        return OrderedDict, (), attributes, None, iter(self._state.items())


def test_attributes_that_hide_methods_do_no_harm(torch: Any, path: Path) -> None:
    torch.save(Hiding({"a": torch.zeros(1)}), path)
    assert list(read_state(path)) == ["a"]


def test_a_missing_file_is_told(torch: Any, path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load_network(path)


def test_without_a_gpu_torch2trt_gets_no_network(
    torch: Any, state: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match="PyTorch finds no GPU"):
        load_network(path).on_gpu((224, 224))


def test_without_pytorch_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match=r"needs PyTorch; pip install 'posert\[train\]'"):
        load_network(path)


@pytest.mark.parametrize("version", ["2.5.1+cu121", "2.9.1"])
def test_a_pytorch_whose_loader_can_be_made_to_run_code_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    old = ModuleType("torch")
    old.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(EngineError, match=rf"got {version[:3]}.*expected 2\.10 or newer"):
        load_network(path)
