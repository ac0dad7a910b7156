"""``posert.build_engine``: the same as the command, from Python."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import cv2
import pytest
from making.networks import dots_network
from making.pictures import GAP, nose_of_frame, picture
from plans import L4

import posert
from posert.errors import ConfigError, EngineError, InputError, ModelError, PosertError

pytest_plugins = ["engine_cache"]
pytestmark = pytest.mark.usefixtures("cache_folder", "judged_with")


def test_an_engine_is_built_and_its_quality_known(
    dots: Path, pictures: Path, cache_folder: Path
) -> None:
    file = posert.build_engine(dots, form="compact", calibration=pictures, batch=(1, 2, 4))
    assert file.path.is_relative_to(cache_folder)
    assert file.manifest is not None
    assert file.manifest.profile.batch == (1, 2, 4)
    assert file.manifest.gate is not None
    assert (file.manifest.gate.pictures, file.manifest.gate.ap_candidate) == (6, None)


def test_what_was_built_is_what_a_run_takes(dots: Path, caplog: pytest.LogCaptureFixture) -> None:
    posert.build_engine(dots, form="compact", input_size=96)
    caplog.clear()
    caplog.set_level("INFO")
    assert len(posert.Pose(dots, form="compact", input_size=96)(picture())) == 1
    assert caplog.records == []


def test_nothing_is_built_where_the_onnx_is_run_as_it_is(dots: Path, cache_folder: Path) -> None:
    assert posert.build_engine(dots, backend="onnxruntime").manifest is None
    assert not cache_folder.exists()


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Six pictures with a person each, and ``truth.json`` with their noses in COCO's format."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    images, annotations = [], []
    for index in range(6):
        x, y = nose_of_frame(index)
        cv2.imwrite(str(folder / f"{index}.png"), picture(noses=[(x, y)]))
        images.append({"id": index, "file_name": f"{index}.png"})
        annotations.append(
            {
                "id": index, "image_id": index, "category_id": 1, "iscrowd": 0, "area": 2000.0,
                "bbox": [x - GAP, y - 10, 2 * GAP, 60.0], "keypoints": [x, y, 2] + [0] * 48,
                "num_keypoints": 1,
            }
        )  # fmt: skip
    truth = {"images": images, "annotations": annotations, "categories": [person()]}
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def person() -> dict[str, Any]:
    names = json.loads(
        (Path(posert.__file__).parents[1] / "demo" / "walkers.truth.json").read_text()
    )["keypoints"]
    return {"id": 1, "name": "person", "keypoints": names, "skeleton": []}


def test_with_annotations_ap_is_judged_too(dots: Path, labelled: Path) -> None:
    pytest.importorskip("pycocotools")
    settings: dict[str, Any] = {"form": "compact", "calibration": labelled}
    unlabelled = posert.build_engine(dots, **settings).manifest
    assert unlabelled is not None
    assert unlabelled.gate is not None
    assert unlabelled.gate.ap_candidate is None
    file = posert.build_engine(dots, **settings, annotations=labelled / "truth.json")
    assert file.manifest is not None
    gate = file.manifest.gate
    assert gate is not None
    assert gate.ap_reference is not None
    assert gate.ap_reference > 0.5
    assert gate.ap_candidate == pytest.approx(gate.ap_reference, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"model": "pose-smal"}, ModelError, "did you mean 'pose-small'"),
        ({"model": "a.engine"}, ModelError, "a.engine: is an engine already"),
        ({"backend": "tensort"}, EngineError, "did you mean 'tensorrt'"),
        ({"precison": "fp16"}, ConfigError, "unknown key 'precison' (did you mean 'precision'?)"),
        ({"precision": "fp8"}, ConfigError, "precision: got 'fp8'"),
        ({"batch": (2, 1, 1)}, ConfigError, "batch is (2, 1, 1): expected 1 <= MIN"),
        ({"batch": 4}, ConfigError, "batch: got 4"),
        ({"batch": (1, 2)}, ConfigError, "batch: got (1, 2), expected three numbers: least,"),
        ({"jsonl": "a.jsonl"}, ConfigError, "jsonl: got a.jsonl, expected a setting that engines"),
        ({"every": 7}, ConfigError, "every: got 7, expected a setting that engines depend on"),
        ({"via": "torch2trt"}, ConfigError, "via: got torch2trt, expected a checkpoint, .pth"),
        ({"card": "pose-small"}, ConfigError, "card: got pose-small, expected a checkpoint"),
        ({"output": "a.trt"}, ConfigError, "expected a name that ends in .engine"),
        ({"model": "a.pth", "via": "onnx"}, ConfigError, "via: got onnx, expected torch2trt"),
        ({"model": "a.pth"}, ModelError, "a.pth: cannot be read"),
        ({"model": "a.pth", "card": "nothing"}, ModelError, "no model 'nothing'"),
        ({"input_size": 63}, ConfigError, "input size: got 63"),
        ({"annotations": "a.json"}, ConfigError, "expected calibration too"),
        (
            {"annotations": "a.json", "calibration": "nowhere", "form": "compact"},
            InputError,
            "a.json: no such file",
        ),
        ({"targets": ("8.9",), "backend": "onnxruntime"}, ConfigError, "--target"),
        ({"form": "compact", "calibration": "nowhere"}, InputError, "nowhere: no such file"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(
    dots: Path, arguments: Any, error: type[PosertError], told: str
) -> None:
    with pytest.raises(error) as e:
        posert.build_engine(**{"model": dots, **arguments})
    assert told in str(e.value)
    assert "\n" not in str(e.value)


def test_a_copy_for_elsewhere_is_what_is_returned(made: Path, tmp_path: Path) -> None:
    file = posert.build_engine(made, form="compact", output=tmp_path / "own.engine")
    assert file.path == tmp_path / "own.engine"
    assert len(posert.Pose(file.path)(picture())) == 1


def test_most_peaks_are_built_in(dots: Path) -> None:
    made = posert.build_engine(dots, form="compact", max_peaks=3).manifest
    assert made is not None
    assert made.parser is not None
    assert made.parser["max_peaks"] == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"batch": (1, 2, 4)}, "batch is left out: "),
        ({"timing_cache": "a.cache"}, "timing_cache is left out: "),
        ({"max_peaks": 7}, "max_peaks is left out: "),
        ({"form": "compact", "timing_cache": "a.cache"}, "timing_cache is left out: "),
        ({"form": "compact", "batch": (1, 2, 4), "max_peaks": 7}, None),
        ({}, None),
    ],
    ids=str,
)
def test_what_has_no_effect_is_told_in_a_line(
    dots: Path, arguments: Any, told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    posert.build_engine(dots, backend="onnxruntime", **{"form": "maps", **arguments})
    lines = [record.message for record in caplog.records if "left out" in record.message]
    assert [line.startswith(told or "") for line in lines] == ([True] if told else [])


def test_an_engine_in_a_file_of_torch2trt_is_made_one_of_posert(
    dots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posert.building.torch2trt.installed_version", lambda line: "10.3.0")
    monkeypatch.setattr("posert.building.torch2trt.first_gpu", lambda: L4)
    monkeypatch.setattr("posert.building.torch2trt.open_engine", lambda card, file, backend: None)
    state = {"engine": b"plan", "input_names": ["input_0"], "output_names": ["o_0", "o_1"]}
    with zipfile.ZipFile(tmp_path / "a_trt.pth", "w") as archive:
        archive.writestr("a_trt/data.pkl", pickle.dumps(state, protocol=2))
    file = posert.build_engine(tmp_path / "a_trt.pth", card=str(dots))
    assert file.path == tmp_path / "a_trt.engine"
    assert file.path.read_bytes() == b"plan"
    assert file.manifest is not None
    assert (file.manifest.model, file.manifest.precision) == ("made", "fp16")


def test_where_no_backend_works_each_says_why(dots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posert.engines.why_not", lambda backend: "it is broken")
    with pytest.raises(EngineError, match=r"no backend works here \(tensorrt: it is broken; "):
        posert.build_engine(dots)


def test_an_onnx_that_is_not_the_cards_is_refused(tmp_path: Path) -> None:
    folder = dots_network(tmp_path, sha256="0" * 64)
    with pytest.raises(ModelError, match=r"net\.onnx: is damaged or another file"):
        posert.build_engine(folder, form="compact")


@pytest.mark.parametrize("targets", [("8.9",), ("8.6", "12.0")])
def test_targets_alone_mean_tensorrt_rtx(dots: Path, targets: tuple[str, ...]) -> None:
    pytest.importorskip("tensorrt_rtx")
    made = posert.build_engine(dots, targets=targets).manifest
    assert made is not None
    assert (made.backend, made.targets) == ("tensorrt-rtx", targets)
