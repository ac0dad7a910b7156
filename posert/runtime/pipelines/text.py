"""A pipeline as text: elements joined, values escaped, secrets kept out of what is logged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from posert.errors import ConfigError
from posert.runtime.pipelines.passwords import without_passwords

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.+-]+")
_HIDDEN: Final = "***"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')


@dataclass(frozen=True, slots=True, repr=False)
class PipelineText:
    """What GStreamer's parser is given, and what a log may show of it."""

    text: str  # may hold passwords
    safe: str  # the same without

    def __repr__(self) -> str:
        return f"PipelineText({self.safe!r})"

    def __rshift__(self, other: PipelineText) -> PipelineText:
        """``a >> b``: a's pictures flow into b."""
        return PipelineText(f"{self.text} ! {other.text}", f"{self.safe} ! {other.safe}")


def element(name: str, **properties: str | int) -> PipelineText:
    """One element; ``_`` in a property's name stands for ``-``, each value is escaped."""
    return _element(name, properties, frozenset())


def with_properties(
    name: str, properties: dict[str, str | int], secrets: Iterable[str] = ()
) -> PipelineText:
    """One element; the values of ``secrets`` are shown to no log."""
    return _element(name, properties, frozenset(secrets))


def caps(text: str) -> PipelineText:
    """A filter of formats, as ``video/x-raw,format=BGR``."""
    return PipelineText(text, text)


def quote(value: str) -> str:
    """``value`` so that GStreamer's parser reads exactly it.

    Raises:
        ConfigError: it holds what no pipeline can: a line break, or bytes that are no text.
    """
    if _PLAIN.fullmatch(value):
        return value
    if not value.isprintable():
        raise ConfigError(
            "GStreamer takes no name with line breaks or unreadable characters",
            got=ascii(value),
            fix="rename it, or use --io ffmpeg",
        )
    if value.startswith('"'):  # GStreamer takes a value in quotes for one that is to be unwrapped
        value = f'"{_escaped(value)}"'
    return f'"{_escaped(value)}"'


def credentials(address: str) -> tuple[str, dict[str, str]]:
    """An address without user and password, and these as properties of GStreamer's sources."""
    parts = urlsplit(address)
    if parts.username is None:
        return address, {}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, {"user-id": unquote(parts.username), "user-pw": unquote(parts.password or "")}


def named_elements(text: str) -> list[str]:
    """The elements that a pipeline's text asks for, in order."""
    tight = re.sub(r"\s*=\s*", "=", _QUOTED.sub("''", text))
    pieces = (piece.split() for piece in tight.split("!"))
    words = (word for piece in pieces for word in _heads(piece))
    return [word for word in words if _NAME.fullmatch(word)]


def _heads(words: list[str]) -> Iterable[str]:
    """Words of a piece between two ``!`` that are no ``key=value``, format or pad."""
    return (word for word in words if "=" not in word and "/" not in word and "." not in word)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _element(name: str, properties: dict[str, str | int], secrets: frozenset[str]) -> PipelineText:
    if any(not str(properties[key]).isprintable() for key in secrets & properties.keys()):
        raise ConfigError("GStreamer takes no password with unreadable characters")  # nor shows it
    shown = {key.replace("_", "-"): quote(str(value)) for key, value in properties.items()}
    hidden = {key: _HIDDEN if key in secrets else _safe(value) for key, value in shown.items()}
    return PipelineText(_joined(name, shown), _joined(name, hidden))


def _safe(value: str) -> str:
    return without_passwords(value) if "://" in value else value


def _joined(name: str, properties: dict[str, str]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in properties.items())])
