"""Settings from files, flags and Python: strict, with messages that name the key."""

from __future__ import annotations

import json
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest

from posert.config import environment, read_mapping
from posert.engine_builder.card import read_card
from posert.errors import ConfigError
from posert.runtime.preprocess import check_size
from posert.settings import RunSettings, SourceSettings, read_settings


def test_no_file_and_nothing_given_are_the_defaults() -> None:
    assert read_settings(None, {}) == RunSettings()


@pytest.mark.parametrize("name", ["run.yaml", "run.json"])
def test_a_file_sets_what_it_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps({"every": 3, "output": "out.mp4", "input_size": [256, 384]}))
    settings = read_settings(file, {})
    assert (settings.every, settings.output) == (3, Path("out.mp4"))
    assert settings.input_size == (256, 384)
    assert settings.model == RunSettings().model


def test_what_is_given_overrules_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("every: 3\nthreshold: 0.3\n")
    settings = read_settings(file, {"every": 5})
    assert (settings.every, settings.threshold) == (5, 0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 0.2", r"unknown key 'treshold' \(did you mean 'threshold'\?\)"),
        ("every: often", "every: got 'often', expected a valid integer"),
        ("every: 0", r"run\.yaml: every is 0: expected 1 or more$"),
        ("input_size: 384x", "input_size: got '384x', expected pixels of the long side, or HEIGHT"),
        ("input_size: [64, wide]", "input_size: got .*, expected pixels of the long side"),
        ("max_people: true", "max_people: got True, expected a number"),
        ("threshold: false", "threshold: got False, expected a number"),
        ("start: -1", "start is -1.0: expected 0 seconds or more"),
        ("max_frames: 0", "max_frames is 0: expected 1 or more"),
        ("workers: 0", "workers is 0: expected 1 or more"),
        ("line_width: 0", "line_width is 0.0: expected above 0, at most 20"),
        ("line_width: .nan", "line_width is nan"),
        ("start: .nan", "start is nan"),
        (
            "colours: rainbow",
            "colours: got 'rainbow', expected 'limbs', 'trt_pose', 'coco' or 'ids'",
        ),
        ("parser: best", "parser: got 'best'"),
        ("- every", "got list, expected keys and values"),
        ("every: [1, 2", "line 1: .*expected valid YAML or JSON"),
        ("", "is empty: expected keys and values"),
        ("# every: 3", "is empty: expected keys and values"),
        ("every: 3\nstart: 1\nevery: 4", "line 3: the key of line 1 is given again"),
        ("tile: 5", "tile: got 5, expected a path$"),
        ("inputs: [a.mp4]", r"unknown key 'inputs' \(did you mean 'sources'\?\)"),
        ("tile_size: 5x2000", "tile_size is 5x2000: expected 64 to 8192 pixels a side"),
        ("trails: -1s", "trails is -1.0: expected 0 to 60 seconds"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(file, {})
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.yaml", None), ("a.yaml", b"\xff\xfe\x00"), ("a.json", b'{"every": }')],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        read_mapping(file)


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path, {})


def test_only_what_the_run_sets_replaces_the_card_s_parser_values(dots: Path) -> None:
    card = read_card(dots / "card.yaml")
    assert RunSettings().parser_settings(card) == card.parser
    assert RunSettings(parser="trt_pose").parser_settings(card) == card.trt_pose_parser
    own = RunSettings(threshold=0.01, min_parts=1).parser_settings(card)
    assert (own.threshold, own.min_parts, own.max_people) == (0.01, 1, card.parser.max_people)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": 1.01}, "threshold=1.01: .*above 0 and at most 1"),
        ({"link_threshold": 1.0}, "link_threshold=1.0: .*0 or more and below 1"),
    ],
)
def test_thresholds_nothing_can_reach_are_refused(
    dots: Path, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        RunSettings(**setting).parser_settings(read_card(dots / "card.yaml"))


def test_a_threshold_of_1_is_taken(dots: Path) -> None:
    settings = RunSettings(threshold=1.0, link_threshold=0.0)
    assert settings.parser_settings(read_card(dots / "card.yaml")).threshold == 1


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (4128, "got 4128, expected at most 4096 pixels a side"),
        ((64, 100000), "expected at most 4096 pixels a side"),
        (101, "got 101, expected multiples of 4; take 100 or 104"),
        (4095, "take 4092 or 4096"),
        ((64, 3), "expected multiples of 4; take 4$"),
        (0, "take 4$"),
        (-8, "take 4$"),
    ],
)
def test_an_input_size_out_of_range_is_refused(
    dots: Path, size: int | tuple[int, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_size(read_card(dots / "card.yaml").input, size)


def test_the_largest_input_size_is_taken(dots: Path) -> None:
    assert check_size(read_card(dots / "card.yaml").input, 4096) == 4096


@pytest.mark.parametrize(
    ("value", "folders"), [("", ()), ("/a", ("/a",)), ("/a::/b", ("/a", "/b"))]
)
def test_folders_of_models_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, folders: tuple[str, ...]
) -> None:
    monkeypatch.setenv("POSERT_MODELS", value)
    assert environment().models == tuple(map(Path, folders))


def test_a_source_may_be_its_input_alone(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("sources: [a.mp4, 0, {input: 1, name: gate}, {input: b.mp4, track: false}]")
    assert read_settings(file, {}).sources == (
        SourceSettings("a.mp4"), SourceSettings("0"), SourceSettings("1", name="gate"),
        SourceSettings("b.mp4", track=False),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sources: [2.5]",
            r"sources\.0: got float, expected an input, or a mapping with its key input",
        ),
        ("sources: [a.mp4, true]", r"sources\.1: got bool, expected an input"),
        ("sources: [{input: true}]", r"sources\.0\.input: got True, expected a valid string"),
        ("sources: a.mp4", r"sources: got 'a\.mp4', expected a list"),
        ("sources: [{name: gate}]", r"'sources\.0\.input' is missing"),
        ("sources: [{input: 0, trak: true}]", r"unknown key 'sources\.0\.trak' .*'track'"),
        ("gpus: -1", r"gpus is -1: expected numbers of GPUs, 0 or more, each once"),
        ("gpus: [0, 0]", r"gpus is 0,0: expected numbers of GPUs"),
        ("gpus: []", r"gpus is empty: expected numbers of GPUs"),
        ("gpus: 0\nbackend: onnxruntime", r"gpus is 0: expected no GPUs with backend"),
    ],
)
def test_wrong_sources_and_gpus_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(file, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "sources: rtsp://user:secret@gate/1",
        "sources: rtsp://user:secret@gate/1,rtsp://user:secret@yard/1",
        "sources: [{input: [rtsp://user:secret@gate/1]}]",
        "sources: [{input: 0, track: 'rtsp://user:secret@gate/1'}]",
        "sources: [{'rtsp://user:secret@gate/1': }]",  # a colon behind the address
        "sources: {gate: 'http://gate/1?token=secret'}",
        f"sources: {{{'x' * 55}: 'rtsp://user:secret@gate/1'}}",  # at the end of what is quoted
        "threshold: rtsp://user:secret@gate/1",
        "rtsp://user:secret@gate/1: 3",
    ],
)
def test_what_is_wrong_is_quoted_without_passwords(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml: ") as caught:
        read_settings(file, {})
    assert "secret" not in "".join(format_exception(caught.value))


def test_settings_cannot_be_changed() -> None:
    settings: Any = RunSettings()
    with pytest.raises(AttributeError):
        settings.every = 2


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"POSERT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"POSERT_CACHE": "~/a"}, "/home/me/a"),
        ({"POSERT_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/posert"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/posert"),
        ({}, "/home/me/.cache/posert"),
    ],
)
def test_the_engine_cache_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("POSERT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert environment().cache == Path(folder)
