"""What ``posert build-engine`` refuses: one line and its exit code, nothing half-written."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import cv2
import pytest
from making.command import Command
from making.networks import dots_network
from making.pictures import picture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache: Path) -> int:
    return sum(p.is_file() and p.suffix != ".lock" for p in cache.rglob("*"))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--batch", "1", "is not MIN,OPT,MAX"),
        ("--batch", "1,2", "is not MIN,OPT,MAX"),
        ("--batch", "1,2,3,4", "is not MIN,OPT,MAX"),
        ("--batch", "a,b,c", "is not MIN,OPT,MAX"),
        ("--batch", "", "is not MIN,OPT,MAX"),
        ("--target", "", "is not a list of"),
        ("--target", "abc", "is not a list of"),
        ("--target", "8.9,", "is not a list of"),
        ("--via", "onnx", "is not torch2trt"),
        ("--via", "torch2trt", "wants a checkpoint, .pth"),
    ],
)
def test_usage_errors(posert: Command, dots: Path, option: str, value: str, told: str) -> None:
    outcome = posert("build-engine", dots, option, value)
    assert outcome.code == 2
    assert told in outcome.err
    assert f"Invalid value for {option}" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--batch", "0,1,2"], "batch is (0, 1, 2): expected 1 <= MIN <= OPT <= MAX"),
        (["--batch", "4,2,1"], "batch is (4, 2, 1)"),
        (["--size", "63"], "input size: got 63, expected multiples of 4; take 60 or 64"),
        (["--size", "0"], "input size: got 0"),
        (["--size", "abc"], "input_size: got 'abc', expected pixels of the long side"),
        (["--size", "64x"], "input_size: got '64x'"),
        (["--size", "64x64x64"], "input_size: got '64x64x64'"),
        (["--size", "100000"], "at most 4096 pixels a side"),
        (["--form", "small"], "form: got 'small', expected 'auto', 'maps' or 'compact'"),
        (["--precision", "fp8"], "precision: got 'fp8'"),
        (["--precision", "int8"], "int8 of made: there is nothing to calibrate with"),
        (["--annotations", "a.json"], "expected calibration too"),
        (["--target", "8.9", "--backend", "onnxruntime"], "--target: got onnxruntime"),
    ],
    ids=str,
)
def test_settings_errors(posert: Command, dots: Path, arguments: list[str], told: str) -> None:
    outcome = posert("build-engine", dots, *arguments)
    assert outcome.code == 6
    assert told in outcome.refusal()


def test_an_unreadable_calibration_set_is_one_line(
    posert: Command, dots: Path, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.mp4").write_bytes(bytes(100))
    outcome = posert("build-engine", dots, "--precision", "int8", "--calibration", tmp_path / "set")
    assert outcome.code == 3
    assert f"calibration: no picture in {tmp_path / 'set'}: " in outcome.refusal()
    assert kept(cache) == 0


def a_text(folder: Path) -> Path:
    (folder / "net.onnx").write_text("hello\nworld")
    return folder


def half(folder: Path) -> Path:
    data = (folder / "net.onnx").read_bytes()
    (folder / "net.onnx").write_bytes(data[: len(data) // 2])
    return folder


def nothing(folder: Path) -> Path:
    (folder / "net.onnx").write_bytes(b"")
    return folder


def no_onnx(folder: Path) -> Path:
    (folder / "net.onnx").unlink()
    return folder


def another_card(folder: Path) -> Path:
    return dots_network(folder, outputs={"cmap": {"name": "heat"}})


def a_folder_of_nothing(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def a_picture(folder: Path) -> Path:
    cv2.imwrite(str(folder / "a.png"), picture())
    return folder / "a.png"


def no_card(folder: Path) -> Path:
    (folder / "card.yaml").unlink()
    return folder / "net.onnx"


def broken_card(folder: Path) -> Path:
    (folder / "card.yaml").write_text("name: [")
    return folder


def an_engine(folder: Path) -> Path:
    return folder / "pose.engine"


MODELS: list[Any] = [
    a_text, half, nothing, no_onnx, another_card, a_folder_of_nothing, a_picture, no_card,
    broken_card, an_engine,
]  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--form", "compact"]], ids=["as it is", "compact"])
@pytest.mark.parametrize("make", MODELS)
def test_what_is_no_model_is_refused_in_one_line(
    posert: Command, tmp_path: Path, cache: Path, make: Any, options: list[str]
) -> None:
    model = make(dots_network(tmp_path / "model"))
    outcome = posert("build-engine", model, *options)
    assert outcome.code == 4
    assert len(outcome.refusal()) > len("posert: ")
    assert outcome.out == ""
    assert kept(cache) == 0


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def torch_file(path: Path, value: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model_trt/data.pkl", pickle.dumps(value, protocol=2))
    return path


def test_a_pickle_bomb_is_not_run(posert: Command, tmp_path: Path) -> None:
    bomb = torch_file(tmp_path / "a_trt.pth", {"engine": Bomb(tmp_path / "harm")})
    outcome = posert("build-engine", bomb)
    assert outcome.code == 4
    assert "refused, nothing in it was run" in outcome.refusal()
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "a_trt.engine").exists()


def state() -> dict[str, Any]:
    plan = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + bytes(1000)
    return {"engine": plan, "input_names": ["input_0"], "output_names": ["o_0", "o_1"]}


def test_an_engine_of_torch2trt_without_tensorrt_is_one_line(
    posert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.torch2trt.installed_version", lambda line: None)
    file = torch_file(tmp_path / "a_trt.pth", state())
    outcome = posert("build-engine", file)
    assert outcome.code == 9
    told = "a_trt: TensorRT is not installed here to run the engine with"
    assert f"{told} (it was built by TensorRT 10.3.0)" in outcome.refusal()
    assert not (tmp_path / "a_trt.engine").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--precision", "fp8"], 6, "precision: got 'fp8'"),
        (["-o", "a.trt"], 6, "a name that ends in .engine"),
        (["--card", "nothing"], 4, "no model 'nothing'"),
        (["--size", "224"], 6, "a_trt.pth: input_size: got 224, expected none: the engine in"),
        (["--form", "compact"], 6, "a_trt.pth: form: got compact"),
        (["--backend", "tensorrt-rtx"], 6, "a_trt.pth: backend: got tensorrt-rtx"),
        (["--calibration", "x"], 6, "a_trt.pth: calibration: got x"),
        (["--target", "8.9"], 6, "a_trt.pth: targets: got ('8.9',)"),
        (["--timing-cache", "x"], 6, "a_trt.pth: timing_cache: got x"),
        (["--force"], 6, "a_trt.pth: force: got True"),
        (["--batch", "1,2,4"], 6, "a_trt.pth: batch: got (1, 2, 4)"),
        (["--via", "torch2trt", "--form", "maps"], 6, "a_trt.pth: form: got maps, expected none"),
    ],
)
def test_settings_of_a_torch_file_are_checked(
    posert: Command, tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    outcome = posert("build-engine", torch_file(tmp_path / "a_trt.pth", state()), *arguments)
    assert outcome.code == code
    assert told in outcome.refusal()


@pytest.mark.parametrize("content", [None, b"", b"no pickle", bytes(1000)])
def test_what_is_no_torch_file_is_one_line(
    posert: Command, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "a.pth").write_bytes(content)
    outcome = posert("build-engine", tmp_path / "a.pth")
    assert outcome.code == 4
    assert str(tmp_path / "a.pth") in outcome.refusal()


def test_torch2trt_wants_pytorch_and_tensorrt(posert: Command, tmp_path: Path) -> None:
    outcome = posert("build-engine", tmp_path / "a.pth", "--via", "torch2trt")
    assert outcome.code in (4, 9)
    assert outcome.refusal()
