"""torch2trt's files are read without PyTorch, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from posert.engine_builder.card import find_card
from posert.engine_builder.torch2trt import (
    Torch2trtEngine,
    convert_with_torch2trt,
    read_torch2trt,
)
from posert.errors import ConfigError, EngineError, ModelError

PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + bytes(range(256)) * 50
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch.save before 1.6
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])


def state(**changes: Any) -> OrderedDict[str, Any]:
    """The state dict of torch2trt's TRTModule, with what PyTorch hangs on every state dict."""
    made: OrderedDict[str, Any] = OrderedDict(
        engine=bytearray(PLAN), input_names=["input_0"], output_names=["output_0", "output_1"],
        input_flattener={"schema": (0,), "size": 1},
        output_flattener={"schema": (0, 1), "size": 2},
    )  # fmt: skip
    made |= changes
    made._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    return made


def save(path: Path, value: object, zipped: bool) -> Path:
    """Writes what torch.save writes of a value without tensors."""
    if not zipped:
        machine = {"protocol_version": PROTOCOL, "little_endian": True}
        parts: tuple[object, ...] = (MAGIC, PROTOCOL, machine, value, [])
        path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model_trt/data.pkl", pickle.dumps(value, protocol=2))
        archive.writestr("model_trt/version", "3\n")
    return path


@FORMATS
def test_engine_and_names_are_read(tmp_path: Path, zipped: bool) -> None:
    found = read_torch2trt(save(tmp_path / "model_trt.pth", state(), zipped))
    assert found.engine == PLAN
    assert found.input_names == ("input_0",)
    assert found.output_names == ("output_0", "output_1")


@FORMATS
def test_what_torch_saves_is_read(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model_trt.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=zipped)
    assert read_torch2trt(path).engine == PLAN


class OldBytes:
    """Pickled as Python 3.6 of JetPack 4 pickled a bytearray: as text."""

    def __reduce__(self) -> Any:
        return bytearray, (PLAN.decode("latin-1"), "latin-1")


def test_a_file_of_2020_is_read(tmp_path: Path) -> None:
    """Without flatteners, from an old Python."""
    old = {"engine": OldBytes(), "input_names": ["input_0"], "output_names": ["output_0"]}
    assert read_torch2trt(save(tmp_path / "a.pth", old, zipped=False)).engine == PLAN


def test_a_newer_pickle_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(state(), protocol=5))
    assert read_torch2trt(tmp_path / "a.pth").engine == PLAN


def test_the_reader_needs_no_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert read_torch2trt(save(tmp_path / "a.pth", state(), zipped=True)).engine == PLAN


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (b"ftrt" + bytes(20) + bytes([8, 6, 1, 6]), "8.6.1"),
        (b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]), "1.7.1"),
        (b"ftrt" + bytes(20) + b"ptrt", None),  # an older header
        (b"ptrt" + bytes(24), None),
        (b"ftrt", None),
        (b"", None),
    ],
)
def test_the_header_tells_which_tensorrt_built_it(header: bytes, version: str | None) -> None:
    assert Torch2trtEngine(header, ("input_0",), ("output_0",)).version == version


def test_torch2trts_tensors_are_the_cards_in_trt_poses_order() -> None:
    card = find_card("trt-pose-resnet18-224")
    by_place = Torch2trtEngine(PLAN, ("input_0",), ("output_0", "output_1"))
    assert by_place.names(card) == {"input": "input_0", "cmap": "output_0", "paf": "output_1"}
    by_name = Torch2trtEngine(PLAN, ("data",), ("paf", "cmap"))
    assert by_name.names(card) == {"input": "data", "cmap": "cmap", "paf": "paf"}
    with pytest.raises(ModelError, match="the engine contradicts the card: got inputs"):
        Torch2trtEngine(PLAN, ("input_0",), ("output_0",)).names(card)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._target),)


@FORMATS
@pytest.mark.parametrize("place", ["engine", "input_names", "output_flattener", "other"])
def test_a_pickle_bomb_does_not_go_off(tmp_path: Path, zipped: bool, place: str) -> None:
    crater = tmp_path / "crater"
    path = save(tmp_path / "a.pth", state(**{place: Bomb(crater)}), zipped)
    with pytest.raises(ModelError, match=r"refused, nothing in it was run: .* posix\.mkdir"):
        read_torch2trt(path)
    assert not crater.exists()
    pickle.loads(pickle.dumps(Bomb(crater)))  # it was live
    assert crater.exists()


@pytest.mark.parametrize("header", [0, 1, 2])
def test_a_bomb_before_the_state_does_not_go_off(tmp_path: Path, header: int) -> None:
    crater = tmp_path / "crater"
    parts: list[object] = [MAGIC, PROTOCOL, {}, state(), []]
    parts[header] = Bomb(crater)
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(ModelError):
        read_torch2trt(path)
    assert not crater.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cbuiltins\nbytearray.fromhex\n.",
        b"ccollections\nOrderedDict.__init__\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"(S'x'\nios\nsystem\n.",
    ],
    ids=["eval", "getattr", "attribute", "dotted", "stack global", "inst"],
)
def test_all_else_a_pickle_may_ask_for_is_refused(tmp_path: Path, code: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", code)
    with pytest.raises(ModelError, match="refused, nothing in it was run"):
        read_torch2trt(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\nbytearray\n(L1099511627776L\ntR.",  # 1 TiB of zeros
        b"ccollections\nOrderedDict\n(I1\ntR.",
    ],
    ids=["length", "no pairs"],
)
def test_the_makers_take_what_torch2trt_gives_them_alone(tmp_path: Path, code: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", code)
    with pytest.raises(ModelError, match=r"is damaged or no file of torch\.save"):
        read_torch2trt(tmp_path / "a.pth")


def test_a_file_does_not_change_how_the_next_is_read(tmp_path: Path) -> None:
    """A pickle may set attributes on what it is given: defaults of a function, say."""
    code = b"cbuiltins\nbytearray\n(N}V__defaults__\n(V1\ntstb0."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", code)
    with pytest.raises(ModelError):
        read_torch2trt(tmp_path / "a.pth")
    assert read_torch2trt(save(tmp_path / "b.pth", state(), zipped=True)).engine == PLAN


class Hiding:
    """Unpickled, a state dict with attributes in place of its methods."""

    def __reduce__(self) -> Any:
        attributes = dict.fromkeys(("get", "items", "keys", "__getitem__"), 1)
        return OrderedDict, (), attributes, None, iter(state().items())


def test_attributes_that_hide_methods_do_no_harm(tmp_path: Path) -> None:
    assert read_torch2trt(save(tmp_path / "a.pth", Hiding(), zipped=True)).engine == PLAN


def test_a_bomb_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps(state(engine=bytearray(10_000_000))))
    with pytest.raises(ModelError, match=r"is damaged or no file of torch\.save"):
        read_torch2trt(tmp_path / "a.pth")


@FORMATS
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, zipped: bool, share: float) -> None:
    path = save(tmp_path / "a.pth", state(), zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"a\.pth: is damaged or no file of torch\.save"):
        read_torch2trt(path)


@pytest.mark.parametrize("content", [b"text\n" * 9, bytes(99), PLAN, b"PK\x05\x06" + bytes(18)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged or no file of torch\.save"):
        read_torch2trt(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "no state dict of torch2trt: got a list"),
        ({"weights": 1, "a": 2}, "got keys a, weights, expected keys engine, input_names"),
        (state(engine="plan"), "its engine: got a str, expected bytes"),
        (state(engine=bytearray()), "its engine: got nothing"),
        (state(input_names=None), "its tensors' names: got None"),
        (state(output_names=[1, 2]), r"its tensors' names: got \[1, 2\]"),
    ],
    ids=["list", "keys", "engine", "empty", "inputs", "outputs"],
)
def test_another_content_is_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_torch2trt(save(tmp_path / "a.pth", value, zipped=True))


@FORMATS
def test_a_checkpoint_is_sent_to_export(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"PyTorch's weights, no engine.*posert export .*net\.pth"):
        read_torch2trt(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.pth: cannot be read: got No such file"):
        read_torch2trt(tmp_path / "a.pth")


def tensorrt(version: str = "10.3.0") -> Any:
    """As much of TensorRT as torch2trt needs to be there."""
    module: Any = ModuleType("tensorrt")
    module.__version__ = version
    module.NetworkDefinitionCreationFlag = SimpleNamespace(EXPLICIT_BATCH=0)
    module.BuilderFlag = SimpleNamespace(FP16=0)
    module.CalibrationAlgoType = SimpleNamespace(ENTROPY_CALIBRATION_2=2)
    return module


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A torch2trt that converts anything to PLAN; returns what it was asked for."""
    asked: list[dict[str, Any]] = []
    module: Any = ModuleType("torch2trt")

    def torch2trt(network: object, inputs: list[Any], **options: Any) -> Any:
        if network is None:
            raise AttributeError("'Builder' object has no attribute 'build_engine'\nand more")
        asked.append(options)
        return SimpleNamespace(engine=SimpleNamespace(serialize=lambda: bytearray(PLAN)))

    module.torch2trt = torch2trt
    monkeypatch.setitem(sys.modules, "torch2trt", module)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt())
    return asked


EXAMPLE = SimpleNamespace(shape=(1, 3, 224, 224))


def test_torch2trt_converts_where_it_is(converter: list[dict[str, Any]]) -> None:
    found = convert_with_torch2trt(object(), EXAMPLE, "fp16", (1, 4, 16))
    assert (found.engine, found.output_names) == (PLAN, ("cmap", "paf"))
    (asked,) = converter
    assert asked["fp16_mode"] is True
    shapes = [asked[f"{which}_shapes"] for which in ("min", "opt", "max")]
    assert shapes == [[(1, 3, 224, 224)], [(4, 3, 224, 224)], [(16, 3, 224, 224)]]


def test_a_conversion_that_fails_is_one_line(converter: list[dict[str, Any]]) -> None:
    with pytest.raises(EngineError, match="torch2trt failed: 'Builder' object") as caught:
        convert_with_torch2trt(None, EXAMPLE)
    assert "\n" not in str(caught.value)


def test_int8_is_not_for_torch2trt(converter: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="--via torch2trt: precision: got int8"):
        convert_with_torch2trt(object(), EXAMPLE, "int8")


def test_a_tensorrt_without_what_torch2trt_uses_is_too_new(
    converter: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    eleven = tensorrt("11.4.0")
    del eleven.BuilderFlag.FP16
    del eleven.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    monkeypatch.setitem(sys.modules, "tensorrt", eleven)
    with pytest.raises(EngineError, match=r"too new for torch2trt: got 11\.4\.0, which has no"):
        convert_with_torch2trt(object(), EXAMPLE)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("tensorrt", "needs TensorRT"), ("torch2trt", "torch2trt is not installed")],
)
def test_what_is_not_installed_is_named(
    converter: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EngineError, match=message):
        convert_with_torch2trt(object(), EXAMPLE)
