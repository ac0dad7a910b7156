"""Which sources a run has: those given, else those of its configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from posert.errors import ConfigError
from posert.inputs import plan_inputs, shown_name
from posert.settings import RunSettings, SourceSettings

GATE = SourceSettings("rtsp://user:secret@gate/1", name="gate", track=False)
YARD = SourceSettings("rtsp://yard/1", smooth=False)
WALL = RunSettings(sources=(GATE, YARD))


def test_a_wall_of_cameras_comes_from_the_configuration_file() -> None:
    assert plan_inputs([], WALL) == [GATE, YARD]


def test_what_is_given_takes_their_place_and_keeps_what_it_has_of_its_own() -> None:
    assert plan_inputs(["clip.mp4", GATE.input], WALL) == [SourceSettings("clip.mp4"), GATE]


def test_a_folder_s_files_have_what_the_folder_has(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).touch()
    planned = plan_inputs([], RunSettings(sources=(SourceSettings(str(tmp_path), track=False),)))
    assert [Path(source.input).name for source in planned] == ["a.mp4", "b.mp4"]
    assert [source.track for source in planned] == [False, False]
    named = RunSettings(sources=(SourceSettings(str(tmp_path), name="both"),))
    with pytest.raises(ConfigError, match="both: got 2 inputs"):
        plan_inputs([], named)


def test_no_source_and_one_name_for_two_are_refused() -> None:
    with pytest.raises(ConfigError, match="no input"):
        plan_inputs([], RunSettings())
    twice = RunSettings(sources=(GATE, SourceSettings("rtsp://yard/1", name="gate")))
    with pytest.raises(ConfigError, match="'gate': got two sources"):
        plan_inputs([], twice)


def test_a_name_by_which_another_is_shown_is_refused() -> None:
    clip = SourceSettings("clip.mp4")
    other = SourceSettings("other.mp4", name="clip.mp4")
    with pytest.raises(ConfigError, match=r"name 'clip\.mp4': got two sources; name each its own"):
        plan_inputs([], RunSettings(sources=(clip, other)))
    assert plan_inputs(["clip.mp4", "clip.mp4"], RunSettings()) == [clip, clip]


@pytest.mark.parametrize(
    "name", ["", " ", "../../esc", "/tmp/esc", "two\nlines", "\x1b[31mred", "a\x00b", "a\u2028b"]
)
def test_a_name_that_cannot_be_a_file_s_is_refused_in_one_line(name: str) -> None:
    settings = RunSettings(sources=(SourceSettings("clip.mp4", name=name),))
    with pytest.raises(ConfigError, match=r"sources: name: got '.*', expected letters") as caught:
        plan_inputs([], settings)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["gate 2", "Tür", "門", "a.b-c_d", "👨\u200d👩\u200d👧"])
def test_names_of_all_languages_are_taken(name: str) -> None:
    source = SourceSettings("clip.mp4", name=name)
    assert plan_inputs([], RunSettings(sources=(source,))) == [source]


def test_ids_and_trails_of_nobody_are_told(caplog: pytest.LogCaptureFixture) -> None:
    plan_inputs(["a.mp4"], RunSettings(ids=True, track=False))
    assert "without track nobody has an id" in caplog.text
    caplog.clear()
    plan_inputs([], RunSettings(sources=(GATE, YARD), trails=1.0))
    assert caplog.text == ""


def test_a_source_is_shown_by_its_name_and_never_with_its_password() -> None:
    assert shown_name(GATE) == "gate"
    assert "secret" not in shown_name(SourceSettings(GATE.input))
