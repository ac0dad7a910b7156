"""Files that are wanted for a moment only: libraries that take an engine or ONNX by its path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from posert.errors import OutputError


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that goes away again.

    Raises:
        OutputError: instead of any OSError, of making it and of what is done with it.
    """
    try:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    except OSError as e:
        raise OutputError(
            "temporary folder: cannot be written",
            got=e.strerror or e,
            fix="set TMPDIR to a folder that has room and may be written",
        ) from e
