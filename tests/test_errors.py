"""Messages say what, got, expected and the next step; exit codes are those documented."""

from __future__ import annotations

import re

import pytest

from posert import errors
from posert.errors import ConfigError, InputError, OutputError, PosertError, nearest


def test_a_message_has_its_parts_in_order() -> None:
    error = InputError("clip.mp4", got="text", expected="a video", fix="convert it")
    assert str(error) == "clip.mp4: got text, expected a video; convert it"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("x"), "x"),
        (InputError("x", got=0), "x: got 0"),
        (OutputError("x", expected="y"), "x: expected y"),
        (ConfigError("x", fix="do y"), "x; do y"),
    ],
)
def test_parts_may_be_left_out(error: PosertError, message: str) -> None:
    assert str(error) == message


def test_exit_codes_are_those_of_the_docstring() -> None:
    tree = re.findall(r"(\w+Error) +(\d+) ", errors.__doc__ or "")
    assert len(tree) == 6
    for name, code in tree:
        kind = getattr(errors, name)
        assert issubclass(kind, PosertError)
        assert kind.exit_code == int(code)


def test_the_nearest_word_is_proposed() -> None:
    assert nearest("treshold", ["threshold", "max_people"]) == " (did you mean 'threshold'?)"
    assert nearest("zebra", ["threshold", "max_people"]) == ""
