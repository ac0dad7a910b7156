"""Ctrl-C at any moment of a build of the real TensorRT-RTX, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from making.command import PATIENCE_S, start
from making.zoo import zoo_model

# The signal arrives while TensorRT works, not in our callbacks: from a thread, after a part of the
# time that the build took undisturbed.
INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from posert.engine_builder.tensorrt import BuildOptions, build_serialized, load_tensorrt
from posert.manifest import Profile

trt = load_tensorrt("tensorrt-rtx")
profile = Profile((1, 4, 16), (256,) * 3, (256,) * 3)

def build():
    build_serialized(trt, Path(sys.argv[1]), profile, BuildOptions())

began = time.monotonic()
build()
whole = time.monotonic() - began
for part in (0.1, 0.2, 0.3, 0.4, 0.5):
    timer = threading.Timer(part * whole, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        build()
        timer.join()
        print("built", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that takes a second and more to build."""
    pytest.importorskip("tensorrt_rtx")
    return zoo_model("trt-pose-densenet121-256", tmp_path_factory.mktemp("zoo"))


def test_ctrl_c_is_never_lost(large: Path) -> None:
    (onnx,) = large.glob("*.onnx")
    command = [sys.executable, "-c", INTERRUPTED, str(onnx)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["stopped"] * 5


def test_the_command_ends_with_130(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path))
    before = """
import os, signal, threading
from posert.engine_builder.tensorrt import build
built = build._built  # from then on TensorRT is at work
def _built(*given):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    return built(*given)
build._built = _built
"""
    of = ("--backend", "tensorrt-rtx", "--target", "8.9")
    as_it_is = ("--precision", "fp32", "--form", "maps")
    command = start("build-engine", large, *of, *as_it_is, before=before)
    out, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 128 + signal.SIGINT, err
    assert not out
    assert not [w for w in ("Traceback", "Exception", "Interrupt", "ERROR") if w in err]
    assert not list(tmp_path.rglob("*.engine"))
