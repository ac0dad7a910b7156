"""Files and environment into frozen, validated values. The only reader of either.

A file is read strictly: an unknown key is an error that names the nearest known one, and every
message says file, key, what was got and what was expected.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from posert.errors import ConfigError, PosertError, nearest

T = TypeVar("T")
PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Environment:
    """What PoseRT takes from environment variables."""

    models: tuple[Path, ...]  # POSERT_MODELS: further folders of models, searched first
    cache: Path  # POSERT_CACHE: built engines; ~/.cache/posert, or in XDG_CACHE_HOME


def environment() -> Environment:
    """The variables as they are now."""
    listed = os.environ.get("POSERT_MODELS", "")
    models = tuple(Path(p) for p in listed.split(os.pathsep) if p)
    return Environment(models=models, cache=_cache())


def _cache() -> Path:
    if chosen := os.environ.get("POSERT_CACHE"):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111 - Path's raises without a home
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the standard says to ignore any other
        return base / "posert"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    return (home if home.is_absolute() else Path("/")) / ".cache" / "posert"


def shipped(name: str) -> Path:
    """The folder ``name`` (models, demo) of the installed package, else of the checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def read_mapping(path: Path, error: type[PosertError] = ConfigError) -> dict[str, Any]:
    """The mapping a YAML or JSON file holds.

    Raises:
        error: the file cannot be read, is not YAML/JSON, or holds something else.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else yaml.load(text, _once(yaml))
    except OSError as e:
        raise error(f"{path}: cannot be read", got=e.strerror) from e
    except UnicodeDecodeError as e:
        raise error(f"{path}: is not text", expected="UTF-8 YAML or JSON") from e
    except (yaml.YAMLError, ValueError) as e:
        where = getattr(e, "problem_mark", None)
        line = where.line + 1 if where is not None else getattr(e, "lineno", "?")
        problem = getattr(e, "problem", None) or getattr(e, "msg", None) or "bad syntax"
        raise error(f"{path}, line {line}: {problem}", expected="valid YAML or JSON") from e
    if data is None:
        raise error(f"{path}: is empty", expected="keys and values")
    if not isinstance(data, dict):
        raise error(f"{path}", got=type(data).__name__, expected="keys and values")
    return data


def _once(yaml: Any) -> Any:
    """A safe loader that refuses a key given twice, of which it would take the last."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            lines: dict[tuple[str, Any], int] = {}
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line = key.start_mark.line + 1
                first = lines.setdefault((key.tag, key.value), line)
                if first != line:
                    problem = f"the key of line {first} is given again"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            return super().construct_mapping(node, deep)

    return Loader


def build(
    cls: type[T], data: Mapping[str, Any], where: str, error: type[PosertError],
    quoted: Callable[[str], str] = str,
) -> T:  # fmt: skip
    """A ``cls`` (a dataclass) from plain data, every value checked against its type.

    ``quoted`` is a key, or the repr of a value, as a message may show it.

    Raises:
        error: the first thing that is wrong, with its key.
    """
    from pydantic import TypeAdapter, ValidationError

    for key, value in _booleans_as_numbers(cls, data):
        raise error(f"{where}: {key}", got=value, expected="a number")
    try:
        return TypeAdapter(cls).validate_python(dict(data))
    except ValidationError as e:
        raise _explained(cls, e.errors()[0], where, error, quoted) from None  # it quotes all


def _explained(
    cls: type[Any], first: Any, where: str, error: type[PosertError], quoted: Callable[[str], str]
) -> PosertError:
    key = quoted(".".join(str(part) for part in first["loc"]))
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        name = str(first["loc"][-1])
        place = tuple(part for part in first["loc"][:-1] if isinstance(part, str))
        known = dict(_keys(cls)).get(place, ())
        meant = {w: f.name for f in fields(cls) for w in f.metadata.get("meant", ()) if not place}
        hint = f" (did you mean {meant[name]!r}?)" if name in meant else nearest(name, known)
        return error(f"{where}: unknown key {key!r}{hint}")
    if first["type"] in ("missing", "missing_argument"):
        return error(f"{where}: {key!r} is missing")
    if first["type"] == "value_error":  # of a __post_init__: it says all there is to say
        message = first["msg"].removeprefix("Value error, ")
        return error(f"{where}: {key}: {message}" if key else f"{where}: {message}")
    expected = first["msg"].removeprefix("Input should be ").replace("a valid tuple", "a list")
    if first["type"] == "path_type":
        expected = "a path"
    told = {f.name: f.metadata.get("expected") for f in fields(cls)}.get(first["loc"][0])
    if told is not None:  # of a union, pydantic tells the first member alone
        key, expected = str(first["loc"][0]), told
    return error(f"{where}: {key}", got=quoted(repr(first["input"]))[:80], expected=expected)


def _booleans_as_numbers(
    cls: type[Any], data: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, bool]]:
    """Where ``data`` has true or false for a number; pydantic would take it for 1 or 0."""
    from typing import get_args, get_type_hints

    hints = get_type_hints(cls)
    for name in (f.name for f in fields(cls) if f.name in data):
        hint, value = hints[name], data[name]
        if isinstance(value, bool) and {int, float} & {hint, *get_args(hint)}:
            yield at + name, value
        elif isinstance(value, Mapping) and isinstance(hint, type) and is_dataclass(hint):
            yield from _booleans_as_numbers(hint, value, f"{at}{name}.")


def _keys(cls: type[Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every place of a nested dataclass with the keys known there."""
    from typing import get_args, get_type_hints

    yield at, [f.name for f in fields(cls)]
    hints = get_type_hints(cls)
    for f in fields(cls):
        hint = next(iter(get_args(hints[f.name])), hints[f.name])  # of a tuple its members
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _keys(hint, (*at, f.name))
