"""Stand-ins for the lines of TensorRT that cannot be installed here.

They have what each line has and lack what it lacks, where that is of interest to a build, and note
what they are asked. What the real ones do with it is not tested by them.
"""

from __future__ import annotations

import signal
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from posert.engine_builder.tensorrt import TensorRT

CREATION = {
    "8.6.1": {"EXPLICIT_BATCH": 0},
    "10.3.0": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11.4.0": {"STRONGLY_TYPED": 0},  # accepted and without effect
    "later": {"PREFER_JIT_PYTHON_PLUGINS": 2},
}
_MORE_FLAGS = {"8.6.1": ("FP16", "INT8"), "10.3.0": ("FP16", "INT8"), "11.4.0": (), "later": ()}
_GPU = b"this GPU"


@dataclass
class Fake:
    """A line's behaviour, and what it was asked."""

    version: str
    said: list[tuple[str, str]] = field(default_factory=list)  # by the build: severity, message
    fails: tuple[str, ...] = ()  # calls that answer with None, False or -1
    signal: signal.Signals | None = None  # arrives on the way into a callback
    input_shape: tuple[int, ...] = (-1, 3, -1, -1)
    creation: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    known_timings: bytes | None = None
    builders: list[weakref.ref[_Builder]] = field(default_factory=list)

    @property
    def line(self) -> TensorRT:
        return TensorRT("tensorrt", self.version, self._module())

    def _module(self) -> Any:
        def builder(logger: Any) -> _Builder:
            if "Builder" in self.fails:
                tell(logger, self.said)
                raise TypeError("pybind11::init(): factory function returned nullptr")
            return _Builder(self, logger)

        flags = {name: i for i, name in enumerate(("TF32", *_MORE_FLAGS[self.version]))}
        module = SimpleNamespace(
            ILogger=type("ILogger", (), {}),
            IBuilderConfig=_Config,
            Builder=builder,
            OnnxParser=_Parser,
            NetworkDefinitionCreationFlag=IntEnum("Creation", CREATION[self.version]),
            BuilderFlag=IntEnum("BuilderFlag", flags),
            DataType=IntEnum("DataType", {"FLOAT": 0, "UINT8": 5}),
        )
        if self.version != "8.6.1":
            module.IProgressMonitor = type("IProgressMonitor", (), {})
        return module


def tell(logger: Any, said: list[tuple[str, str]]) -> None:
    for severity, message in said:
        logger.log(SimpleNamespace(name=severity), message)


class _Builder:
    def __init__(self, fake: Fake, logger: Any) -> None:
        self._fake, self._logger = fake, logger
        fake.builders.append(weakref.ref(self))

    def create_network(self, bits: int) -> Any:
        known = CREATION[self._fake.version].items()
        self._fake.creation = {name for name, bit in known if bits >> bit & 1}
        tensor = SimpleNamespace(name="input", shape=self._fake.input_shape, dtype=0)
        return SimpleNamespace(
            num_inputs=1, num_outputs=1, get_input=lambda index: tensor, fake=self._fake
        )

    def create_builder_config(self) -> _Config:
        return _Config(self._fake, self._logger)

    def create_optimization_profile(self) -> Any:
        def set_shape(name: str, *shapes: tuple[int, ...]) -> None:
            self._fake.shapes[name] = shapes

        return SimpleNamespace(set_shape=set_shape)

    def build_serialized_network(self, network: Any, config: _Config) -> bytes | None:
        assert network.parser() is not None, "the parser, and with it the weights, is gone"
        if self._fake.signal is not None:
            with suppress(BaseException):  # as pybind does, which prints it
                signal.raise_signal(self._fake.signal)
        tell(self._logger, self._fake.said)
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None:
            monitor.phase_start("Building engine", None, 2)
            if not monitor.step_complete("Building engine", 0):
                return None
        return None if "build" in self._fake.fails else b"an engine"


class _Parser:
    def __init__(self, network: Any, logger: Any) -> None:
        self._fake: Fake = network.fake
        network.parser = weakref.ref(self)
        self.num_errors = 1 if "parse" in self._fake.fails else 0

    def parse(self, data: bytes) -> bool:
        return not self.num_errors

    def parse_from_file(self, path: str) -> bool:
        return not self.num_errors

    def get_error(self, index: int) -> Any:  # as 8.6 has it: it cannot name the operator
        code = SimpleNamespace(name="UNSUPPORTED_NODE")
        return SimpleNamespace(code=lambda: code, desc=lambda: "no importer", node=lambda: 1)


class _Config:
    def __init__(self, fake: Fake, logger: Any) -> None:
        self._fake, self._logger = fake, logger

    def set_flag(self, flag: IntEnum) -> None:
        self._fake.flags.add(flag.name)

    def add_optimization_profile(self, profile: Any) -> int:
        return -1 if "profile" in self._fake.fails else 0

    def create_timing_cache(self, data: bytes) -> SimpleNamespace:
        if data and b"timings" not in data:
            tell(self._logger, [("WARNING", "Failed to deserialize timing cache.")])
            data = b""
        return SimpleNamespace(data=data, serialize=lambda: b"timings of " + _GPU)

    def set_timing_cache(self, cache: SimpleNamespace, ignore_mismatch: bool) -> bool:
        fits = not cache.data or cache.data.endswith(_GPU)
        if fits:
            self._cache, self._fake.known_timings = cache, cache.data
        return fits

    def get_timing_cache(self) -> SimpleNamespace:
        return self._cache
