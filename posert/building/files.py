"""Engines in files of the user's own: saved from the cache, and opened."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from errno import EISDIR
from pathlib import Path
from typing import Any

from posert.building.plan import profile_of
from posert.errors import ConfigError, EngineError, OutputError
from posert.manifest import (
    EngineFile,
    Profile,
    manifest_beside,
    open_own,
    read_engine,
    sidecar,
)
from posert.model_card import InputSize, ModelCard
from posert.postprocess.settings import ParserSettings
from posert.runtime.engine import Engine, open_engine
from posert.runtime.preprocess import check_size
from posert.settings import RunSettings

ENDING = ".engine"


def own_size(settings: RunSettings) -> RunSettings:
    """``settings`` with the one size of the engine they name, where they name none.

    Raises:
        EngineError: the engine has no manifest that can be read.
    """
    path = Path(settings.model)
    if path.suffix != ENDING or settings.input_size is not None:
        return settings
    return replace(settings, input_size=manifest_beside(path).profile.size)


def open_file(path: Path, card: ModelCard, settings: RunSettings) -> Engine:
    """The engine in ``path``, a file with its manifest beside it.

    Raises:
        EngineError: it is damaged, or was built for another device or version.
        ConfigError: the settings ask for something else than is built in.
    """
    file = open_own(path)
    assert file.manifest is not None  # of open_own
    made = file.manifest
    for name in ("backend", "form", "precision"):
        if (asked := getattr(settings, name)) not in ("auto", getattr(made, name)):
            raise ConfigError(f"{path}: {name}", got=asked, expected=getattr(made, name))
    _check_size(path, made.profile, card, settings)
    if made.parser is not None:
        _check_parser(path, made.parser, settings.parser_settings(card))
        if (settings.max_peaks or 0) > (most := made.parser["max_peaks"]):
            expected = f"at most {most}, which are built in"
            raise ConfigError(f"{path}: max_peaks", got=settings.max_peaks, expected=expected)
    return open_engine(card, file, made.backend, settings.workers)


def _check_size(path: Path, built: Profile, card: ModelCard, settings: RunSettings) -> None:
    size = check_size(card.input, settings.input_size)
    wanted = profile_of(size, card.input, built.batch)
    axes = ((wanted.height, built.height), (wanted.width, built.width))
    if all(has[0] <= asks[0] and asks[2] <= has[2] for asks, has in axes):
        return
    (least_h, _, height), (least_w, _, width) = built.height, built.width
    one = f"{height}x{width}"
    expected = one if built.size else f"{least_h}x{least_w} to {one}"
    fix = f"--input-size {one if built.size else min(height, width)}"
    raise ConfigError(f"{path}: input size", got=_written(size), expected=expected, fix=fix)


def _written(size: InputSize) -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)


def _check_parser(path: Path, built_in: dict[str, Any], wanted: ParserSettings) -> None:
    parsers = ("posert", "trt_pose")
    if built_in["reference"] != wanted.reference:
        right = parsers[built_in["reference"]]
        got, fix = parsers[wanted.reference], f"--parser {right}"
        raise ConfigError(f"{path}: parser", got=got, expected=f"{right}, built in", fix=fix)
    for name in ("window", "samples"):
        got = getattr(wanted, name)
        if built_in[name] != got:
            raise ConfigError(f"{path}: {name}", got=got, expected=f"{built_in[name]}, built in")
    if wanted.threshold < (least := built_in["threshold"]):
        expected = f"at least {least}, which is built in"
        raise ConfigError(f"{path}: threshold", got=wanted.threshold, expected=expected)


def save(file: EngineFile, path: Path) -> EngineFile:
    """A copy of an engine of the cache, with its manifest, at ``path``.

    Raises:
        ConfigError: the path ends in something else than .engine.
        EngineError: the engine is an ONNX as it is: it has no manifest.
        OutputError: it cannot be written.
    """
    check_ending(path)
    if file.manifest is None:
        raise EngineError(f"{file.path} is run as it is", fix=f"give it as --model {file.path}")
    parts = {file.path: path, sidecar(file.path): sidecar(path)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(path):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        for part, target in parts.items():
            shutil.copyfile(part, _partial(target))
        for target in (sidecar(path), path):  # an engine without its manifest is refused
            target.unlink(missing_ok=True)
        for target in parts.values():
            _partial(target).replace(target)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written", got=e.strerror) from e
    finally:
        for target in parts.values():
            with suppress(OSError):  # gone already where all went well
                _partial(target).unlink(missing_ok=True)
    return read_engine(path)


def check_ending(path: Path) -> None:
    """Refuse a name for an engine that a run would not take for one.

    Raises:
        ConfigError: it ends in something else than .engine.
    """
    if path.suffix != ENDING:
        raise ConfigError("--output", got=path, expected=f"a name that ends in {ENDING}")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")
