"""Python's garbage collector, kept out of where it would wait for itself."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_off() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: for calls into TensorRT that build or load.

    TensorRT holds a lock while it calls our logger. If the collector runs there and finds older
    TensorRT objects, their destructors wait for that lock in the thread that has it: for ever.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
