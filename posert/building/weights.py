"""An ONNX and the files that hold its weights, found without loading onnx: that takes a while."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from posert.errors import ModelError
from posert.manifest import file_sha256

# TensorProto.external_data as it is serialised: key "location", then the value's length
_LOCATION = re.compile(rb"\n\x08location\x12([\x80-\xff]?[\x01-\x7f])")


def source_sha256(path: Path) -> str:
    """sha256 of an ONNX; where its weights lie in other files, of those too.

    Raises:
        ModelError: one of them is missing or cannot be read.
    """
    try:
        data = path.read_bytes()
        found = sha256(data)
        for file in _files(path, data):
            found.update(file_sha256(file).encode())
    except OSError as e:
        raise ModelError(f"{e.filename}: cannot be read", got=e.strerror) from e
    return found.hexdigest()


def _files(path: Path, data: bytes) -> Iterator[Path]:
    """The files beside the ONNX at ``path`` that its weights are in."""
    for name in dict.fromkeys(_names(data)):
        file = path.parent / os.fsdecode(name)
        if not os.path.isfile(file):
            raise ModelError(
                f"{path}: its weights are in another file",
                got=f"no {file.name} beside it",
                fix="copy that file beside the ONNX, or save the ONNX as one file",
            )
        yield file


def _names(data: bytes) -> Iterator[bytes]:
    for entry in _LOCATION.finditer(data):
        low, *high = entry[1]
        length = (low & 0x7F) + (high[0] << 7 if high else 0)
        yield data[entry.end() : entry.end() + length]
