"""Which backends are said to work here: what a run needs is asked for before a build."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from posert.gpu import Device
from posert.manifest import Backend
from posert.runtime import engine
from posert.runtime.engine import why_not


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modules that are there; an Ada GPU is."""
    modules = {"tensorrt", "tensorrt_rtx", "pycuda"}

    def find_spec(name: str) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, None) if name in modules else None

    monkeypatch.setattr(engine, "find_spec", find_spec)
    set_gpu(monkeypatch, "8.9")
    return modules


def set_gpu(monkeypatch: pytest.MonkeyPatch, compute_capability: str) -> None:
    gpu = Device("NVIDIA made up", compute_capability, 570)
    monkeypatch.setattr(engine, "first_gpu", lambda: gpu)


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_tensorrt_needs_its_module_pycuda_and_a_gpu(
    installed: set[str], monkeypatch: pytest.MonkeyPatch, backend: Backend
) -> None:
    assert why_not(backend) is None
    installed.remove("pycuda")
    told = why_not(backend)
    assert told is not None
    assert told.startswith("there is no Python module pycuda (pip install pycuda")
    assert "\n" not in told
    monkeypatch.setattr(engine, "first_gpu", lambda: None)
    assert why_not(backend) == "there is no NVIDIA GPU"
    installed.clear()
    assert why_not(backend) == f"there is no Python module {backend.replace('-', '_')}"


@pytest.mark.parametrize(
    ("compute_capability", "runs"),
    [("7.0", False), ("7.5", True), ("8.0", True), ("8.9", True), ("9.0", False), ("10.3", False),
     ("12.0", True), ("12.1", True)],
)  # fmt: skip
def test_rtx_needs_a_gpu_of_its_kinds(
    installed: set[str], monkeypatch: pytest.MonkeyPatch, compute_capability: str, runs: bool
) -> None:
    set_gpu(monkeypatch, compute_capability)
    told = f"TensorRT-RTX runs on compute capability 7.5 to 8.9 and 12.x, not {compute_capability}"
    assert why_not("tensorrt-rtx") == (None if runs else told)
    assert why_not("tensorrt") is None
