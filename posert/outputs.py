"""Where the output of each source goes; what cannot work is refused before anything is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import cv2

from posert.errors import ConfigError, OutputError
from posert.runtime.sinks import stream_address
from posert.runtime.sinks.video import check_ending
from posert.runtime.sources.addresses import url_path, without_password
from posert.runtime.sources.inputs import is_picture
from posert.settings import RunSettings, SourceSettings

MOST_TILES: Final = 256  # of a wall: each has a thread, and a source that is open


def plan_outputs(sources: list[SourceSettings], settings: RunSettings) -> list[Path | None]:
    """The output of each source: the one named, or in a folder one a source.

    Raises:
        ConfigError: nothing is asked for, several inputs have one file to go to, two outputs
            are one file, an address is to be cut into files, or a wall has too many tiles.
        OutputError: an output would overwrite an input, its ending is of no format written, it is
            a folder, or what should be its folder is a file.
    """
    data = [
        path
        for path in (settings.jsonl, settings.csv, settings.coco, settings.contact_sheet)
        if path is not None
    ]
    tile = [settings.tile] if settings.tile is not None else []
    planned = _planned(sources, settings)
    if not planned and not data and not tile and settings.openpose_json is None:
        raise ConfigError("nothing to write", fix="give -o OUT, --jsonl FILE or another output")
    if any(stream_address(path) is not None for path in data):
        raise ConfigError("an address is no place for data", expected="a file, or - for stdout")
    for path in tile:
        _check_wall(path, len(sources))
    if settings.segment is not None:
        _check_files([*planned, *tile])
    _check_distinct([*planned, *tile, *data])
    _check_not_inputs([*planned, *tile, *data], [source.input for source in sources])
    for path in [*(planned if len(planned) == 1 else []), *tile, *data]:
        if os.path.isdir(path):  # one of many outputs may be: it fails alone
            raise OutputError(
                f"{path}: cannot be written", got="a folder", expected="a file's name"
            )
    for path in [*planned[:1], *tile, *data, *filter(None, [settings.openpose_json])]:
        _check_above(path)
    return [*planned] or [None] * len(sources)


def shown_output(output: Path) -> str:
    """As people write it, without its password."""
    return without_password(stream_address(output) or str(output))


def _planned(sources: list[SourceSettings], settings: RunSettings) -> list[Path]:
    if settings.output_dir is not None:
        planned = _in_folder(sources, settings.output_dir)
    elif settings.output is not None:
        output = settings.output
        sent = stream_address(output) is not None
        one_file = sent or (bool(output.suffix) and not os.path.isdir(output))
        if one_file and len(sources) != 1:
            expected = "a folder for them, or --tile FILE"
            got = f"{len(sources)} inputs"
            raise ConfigError(f"-o {shown_output(output)}", got=got, expected=expected)
        if sent:
            return [output]
        planned = [output] if one_file else _in_folder(sources, output)
    else:
        return []
    for source, path in zip(sources, planned, strict=True):
        _check_ending(source.input, path)
    return planned


def _in_folder(sources: list[SourceSettings], folder: Path) -> list[Path]:
    """``folder/STEM.mp4`` (pictures keep their ending), numbered where stems repeat."""
    planned: list[Path] = []
    for source in sources:
        name = source.input
        called = source.name or _stem(name)
        stem = "".join(c if c.isalnum() or c in "-_. " else "_" for c in called)
        suffix = Path(name).suffix if is_picture(name) else ".mp4"
        path, number = folder / f"{stem or 'source'}{suffix}", 2
        while path in planned:
            path, number = folder / f"{stem}-{number}{suffix}", number + 1
        planned.append(path)
    return planned


def _stem(name: str) -> str:
    """Of an address the last part of its path, or its host: users and tokens are no names."""
    if "://" not in name:
        return Path(name).stem
    try:
        return Path(url_path(name)).stem or urlsplit(name).hostname or "source"
    except ValueError:  # no address: who opens it says so
        return "source"


def _check_wall(path: Path, tiles: int) -> None:
    if tiles > MOST_TILES:
        raise ConfigError(
            f"--tile {shown_output(path)}", got=f"{tiles} inputs", expected=f"at most {MOST_TILES}",
            fix="give fewer inputs, or a folder for all: --output-dir DIR",
        )  # fmt: skip
    if stream_address(path) is None:
        check_ending(path)


def _check_files(outputs: list[Path]) -> None:
    """Refuses addresses, which cannot be cut into files."""
    for path in outputs:
        if stream_address(path) is not None:
            fix = "leave out --segment, or name a file"
            raise ConfigError("--segment", got=shown_output(path), expected="a video file", fix=fix)


def _check_ending(name: str, path: Path) -> None:
    if is_picture(name):
        if not cv2.haveImageWriter(str(path)):
            raise OutputError(f"{path}", got=path.suffix, expected=".png, .jpg or .webp")
    else:
        check_ending(path)


def _check_distinct(outputs: list[Path]) -> None:
    seen: set[str] = set()
    for path in map(os.path.abspath, outputs):
        if path in seen:
            raise ConfigError(f"{path}: two outputs are this file", fix="give each its own")
        seen.add(path)


def _check_above(path: Path) -> None:
    """Refuses a place below a file; what may not be looked at is found out later."""
    if str(path) == "-" or stream_address(path) is not None:
        return
    above = next((each for each in path.parents if os.path.exists(each)), path.parent)
    if os.path.exists(above) and not os.path.isdir(above):
        what = f"{path}: cannot be written"
        raise OutputError(what, got=f"{above} is a file", expected="a folder")


def _check_not_inputs(outputs: list[Path], names: list[str]) -> None:
    inputs = [name for name in names if os.path.exists(name)]
    for path in outputs:
        if os.path.exists(path) and any(os.path.samefile(path, name) for name in inputs):
            raise OutputError(f"{path}: is the input itself", fix="choose another output")
