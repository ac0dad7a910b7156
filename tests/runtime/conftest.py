"""Fixtures of the runtime's tests."""

from __future__ import annotations

import os

import pytest

from posert.errors import EngineError
from posert.runtime.cuda import Gpu, open_gpu


@pytest.fixture
def gpu() -> Gpu:
    """The NVIDIA GPU of this machine, through pycuda."""
    try:
        return open_gpu()
    except EngineError as e:
        if os.environ.get("POSERT_REQUIRE_GPU") == "1":
            pytest.fail(f"POSERT_REQUIRE_GPU=1, but: {e}")
        pytest.skip(str(e))
