"""TensorRT's timing cache as a file: what the last build measured, the next need not."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from posert.engine_builder.tensorrt.watch import BuildWatch, shortened

log = logging.getLogger(__name__)


def load_timing_cache(config: Any, path: Path, watch: BuildWatch) -> None:
    """Gives the build the timings in ``path``; a file that does not fit is ignored with a line."""
    watch.take()
    cache = config.create_timing_cache(_read(path))
    fits = cache is not None and config.set_timing_cache(cache, False)  # False: of this GPU only
    complaints = watch.take()  # they fail nothing, so they are no reason of a later failure
    if fits and not complaints:
        return
    reason = shortened(complaints[0]) if complaints else "it is of another GPU or TensorRT"
    log.warning("timing cache %s is not used: %s; a new one replaces it", path, reason)
    if not fits:
        config.set_timing_cache(config.create_timing_cache(b""), False)


def save_timing_cache(config: Any, path: Path) -> None:
    """Writes the timings of the build, whole or not at all; a failure is only a warning."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(bytes(cache.serialize()))
        partial.replace(path)
    except OSError as e:
        log.warning("timing cache %s cannot be written (%s): the next build is slower", path, e)
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as e:
        log.warning("timing cache %s cannot be read (%s): the build is slower", path, e)
        return b""
