"""The lines of TensorRT: which are installed, and what they can do."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from posert.errors import EngineError, first_line
from posert.manifest import Precision

_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_TITLES = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
_INSTALL = {
    "tensorrt": "it comes with NVIDIA's TensorRT containers and JetPack; a venv sees it with "
    "--system-site-packages",
    "tensorrt-rtx": "pip install tensorrt-rtx",
}
_WEAK_FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}


@dataclass(frozen=True)
class TensorRT:
    """A line of TensorRT that is installed here."""

    name: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    module: Any

    def __str__(self) -> str:
        return f"{_TITLES[self.name]} {self.version}"

    @property
    def ahead_of_time(self) -> bool:
        """It builds for architectures it is told, without a GPU and without timing anything."""
        return hasattr(self.module.IBuilderConfig, "set_compute_capability")

    @property
    def creation_flags(self) -> tuple[str, ...]:
        """The flags a network is created with.

        Strongly typed where there is a choice: the precision is then whatever the ONNX says.
        """
        known = self.module.NetworkDefinitionCreationFlag
        wanted = "STRONGLY_TYPED" if hasattr(known, "STRONGLY_TYPED") else "EXPLICIT_BATCH"
        return (wanted,) if hasattr(known, wanted) else ()

    def builder_flags(self, precision: Precision) -> tuple[str, ...]:
        """The flags that let a weakly typed network use the types of ``precision``, if it is one.

        Such a line chooses the type of each layer itself, among these and float32.
        """
        return _WEAK_FLAGS[precision] if "EXPLICIT_BATCH" in self.creation_flags else ()


def load_tensorrt(line: Literal["tensorrt", "tensorrt-rtx"]) -> TensorRT:
    """The line's Python module, imported.

    Raises:
        EngineError: it is not installed, or does not load.
    """
    title, name = _TITLES[line], _MODULES[line]
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as e:  # the last two: of the libraries it loads
        if isinstance(e, ModuleNotFoundError) and e.name == name:
            raise EngineError(f"{title} is not installed", fix=_INSTALL[line]) from e
        reason = first_line(e)
        raise EngineError(f"{title} does not load: {reason[:200]}", fix=_INSTALL[line]) from e
    if not hasattr(module, "Builder"):  # any folder of that name can be imported
        raise EngineError(f"{title} has no builder here", fix=_INSTALL[line])
    return TensorRT(line, str(module.__version__), module)
