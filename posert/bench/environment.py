"""Where something was measured: what makes figures differ, and nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from posert.gpu import gpus
from posert.runtime.cores import usable_cores
from posert.version import __version__

_CPUINFO: Final = Path("/proc/cpuinfo")
_LIBRARIES: Final = (
    "av", "numpy", "scipy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless",
    "opencv-python", "orjson", "tensorrt", "tensorrt-rtx", "pycuda", "PyNvVideoCodec",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and what is installed on it."""

    posert: str  # version
    python: str
    system: str  # "Debian GNU/Linux 12 (bookworm), Linux 6.1, x86_64"
    cpu: str
    cores: int  # that may be used
    memory_gb: int
    gpus: tuple[str, ...]
    driver: str  # of the GPUs; empty where there is none
    libraries: dict[str, str]  # name: version


def environment() -> Machine:
    """Of this machine."""
    found = gpus()
    return Machine(
        posert=__version__,
        python=platform.python_version(),
        system=", ".join(_system()),
        cpu=_cpu(),
        cores=usable_cores(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        gpus=tuple(gpu.name for gpu in found),
        driver=found[0].driver if found else "",
        libraries=dict(_libraries()),
    )


def _system() -> Iterator[str]:
    with suppress(OSError):  # a minimal image has no such file
        yield platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    number = re.match(r"\d+\.\d+", platform.release())  # what follows may be a firm's own
    yield f"{platform.system()} {number[0] if number else ''}".strip()
    yield platform.machine()


def _cpu(cpuinfo: Path = _CPUINFO) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())  # ARM's has no such line


def _libraries() -> Iterator[tuple[str, str]]:
    for name in _LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
