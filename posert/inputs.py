"""Which sources a run has, and what each has of its own."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from dataclasses import replace
from typing import Final

from posert.errors import ConfigError
from posert.runtime.sources.addresses import without_password
from posert.runtime.sources.inputs import expand
from posert.settings import RunSettings, SourceSettings

log = logging.getLogger(__name__)
_UNPRINTED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # of Unicode: they break lines and screens


def plan_inputs(given: list[str], settings: RunSettings) -> list[SourceSettings]:
    """Every single source, folders and globs expanded: those ``given``, else the settings' own.

    One that is given and in the settings too has there what is its own.

    Raises:
        ConfigError: there is none, one has a name that cannot be a file's, or the name by which
            another is shown.
    """
    own = {source.input: source for source in settings.sources}
    named = [own.get(text, SourceSettings(text)) for text in given] or list(settings.sources)
    if not named:
        fix = "name files, cameras or addresses, or give sources in --config"
        raise ConfigError("no input", fix=fix)
    for source in named:
        _check_name(source.name)
    planned = [single for source in named for single in _expanded(source)]
    _check_names(planned)
    if (settings.ids or settings.trails) and not any(map(settings.follow_settings, planned)):
        log.warning("ids and trails are not drawn: without track nobody has an id")
    return planned


def shown_name(source: SourceSettings) -> str:
    """What people call it: its name, else what was given, passwords removed."""
    return source.name or without_password(source.input)


def _expanded(source: SourceSettings) -> list[SourceSettings]:
    found = expand([source.input])
    if source.name is not None and len(found) != 1:
        fix = "leave the name out, or name one source"
        raise ConfigError(f"sources: {source.name}", got=f"{len(found)} inputs", fix=fix)
    return [replace(source, input=each) for each in found]


def _check_name(name: str | None) -> None:
    """It is in the names of files, and in lines of text."""
    if name is None:
        return
    strange = "/" in name or any(unicodedata.category(letter) in _UNPRINTED for letter in name)
    if strange or not name.strip():
        expected = "letters, without / and control characters"
        raise ConfigError("sources: name", got=repr(without_password(name)), expected=expected)


def _check_names(sources: list[SourceSettings]) -> None:
    """Data of two sources of one name could not be told apart; one input may be given twice."""
    counts = Counter(map(shown_name, sources))
    for source in sources:
        if source.name and counts[source.name] > 1:
            what = f"sources: name {source.name!r}"
            raise ConfigError(what, got="two sources", fix="name each its own")
