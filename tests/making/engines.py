"""Engines that no library built: what the cache and the manifest are tested with."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from posert.engine_builder.cache import Built, Cache, Request
from posert.gpu import cpu
from posert.manifest import Gate, Manifest, Profile, engine_key, installed_version

ENGINE = b"engine" * 1000
GATE = Gate(20, 12, 0.004, 0.99, 0.98, 0.277, 0.271, passed=True)


def request(**changes: Any) -> Request:
    """An int8 ``pose`` of onnxruntime on this CPU, with ``changes``."""
    asked = Request(
        model="pose",
        backend="onnxruntime",
        form="compact",
        precision="int8",
        source_sha256="5" * 64,
        line="onnxruntime",
        line_version=installed_version("onnxruntime") or "",
        device=cpu(),
        profile=Profile((1, 1, 1), (224, 224, 224), (384, 384, 384)),
        parser={"threshold": 0.05, "max_peaks": 100},
        options={"calibration": "6" * 64},
    )
    return replace(asked, **changes)


def built(engine: bytes = ENGINE) -> Built:
    """What a builder would return."""
    return Built(engine, onnx_sha256="7" * 64, gate=GATE, tools={"onnx": "1.16.0"})


def changed(manifest: Manifest, **changes: Any) -> Manifest:
    """``manifest`` as another builder would have written it."""
    other = replace(manifest, **changes)
    return replace(other, key=engine_key(other))


def never() -> Built:
    """A build that nobody may ask for."""
    raise AssertionError("built again")


def endings(cache: Cache) -> list[str]:
    """The endings of the files of all engines."""
    files = (path for path in cache.folder.rglob("*") if path.is_file())
    return sorted(path.name.partition(".")[2] for path in files)


_START = f"""
import logging, os, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from making.engines import built, request
from posert.engine_builder.cache import Cache
logging.basicConfig(format="%(message)s")
"""


def start(cache: Cache, code: str) -> subprocess.Popen[str]:
    """``code`` in a process of its own; argv: the file ``go`` and the cache."""
    paths = (str(cache.folder.parent / "go"), str(cache.folder))
    command = [sys.executable, "-c", _START + code, *paths]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
