"""Everything PoseRT can refuse, and the exit code each refusal has.

    PosertError            1  never raised itself
    +- InputError          3  an input is missing, empty, damaged or not a picture or video
       +- StreamStalled       a live source sent nothing in time
       +- StreamEnded         a live source was closed by the other side
       +- AccessDenied        a live source refuses this user; trying again is of no use
    +- ModelError          4  a model, its card or its topology is wrong or absent
    +- OutputError         5  an output cannot be written (permission, full disk, encoder)
    +- ConfigError         6  a configuration file or setting is wrong
    +- EngineError         9  a backend is not available here, or failed while running

Exit codes beyond these: 0 all done, 2 wrong command line, 7 some inputs failed and the others are
done, 8 ``posert doctor`` found a fault or ``posert health`` a run that is not well, 130 and 143
stopped by SIGINT and SIGTERM.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Final

SOME_INPUTS_FAILED: Final = 7
DOCTOR_FOUND_FAULT: Final = 8


class PosertError(Exception):
    """A refusal its user can act on: one line of what, got, expected and the next step."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, got: object = None, expected: object = None, fix: str | None = None
    ) -> None:
        facts = [f"got {got}"] if got is not None else []
        facts += [f"expected {expected}"] if expected is not None else []
        line = f"{what}: {', '.join(facts)}" if facts else what
        super().__init__(f"{line}; {fix}" if fix else line)


class InputError(PosertError):
    """An input is missing, empty, damaged, or no picture or video."""

    exit_code = 3


class StreamStalled(InputError):
    """A live source sent nothing in time; connecting again may help."""


class StreamEnded(InputError):
    """A live source was closed by the other side; connecting again may help."""


class AccessDenied(InputError):
    """A live source refuses this user or address; connecting again does not help."""


class ModelError(PosertError):
    """A model, its card or its topology is wrong or absent."""

    exit_code = 4


class OutputError(PosertError):
    """An output cannot be written."""

    exit_code = 5


class ConfigError(PosertError):
    """A configuration file or setting is wrong."""

    exit_code = 6


class EngineError(PosertError):
    """A backend is not available here, or failed."""

    exit_code = 9


def first_line(error: BaseException, most: int = 200) -> str:
    """What an exception says first, at most so many characters; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the known word nearest to ``word``, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
