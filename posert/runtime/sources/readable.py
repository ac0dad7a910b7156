"""Whether a path is a file that can be read, and what it is otherwise."""

from __future__ import annotations

import stat
from pathlib import Path

from posert.errors import InputError


def check_readable(path: Path) -> None:
    """Opens nothing that might wait, as a pipe does.

    Raises:
        InputError: it is not there, no file, empty, or may not be read.
    """
    try:
        found = path.stat()
        fix = "write it into a file first" if stat.S_ISFIFO(found.st_mode) else None
        if (what := _other_than_file(found.st_mode)) is not None:
            raise InputError(f"{path}: {what}", expected="a file or an address", fix=fix)
        if found.st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes)")
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as e:  # a name may hold a zero
        raise InputError(f"{path}: no such file") from e
    except PermissionError as e:
        fix = "check its rights and those of its folders"
        raise InputError(f"{path}: cannot be read: permission denied", fix=fix) from e
    except OSError as e:
        raise InputError(f"{path}: cannot be read", got=e.strerror) from e


def _other_than_file(mode: int) -> str | None:
    if stat.S_ISFIFO(mode):
        return "is a pipe"
    if stat.S_ISDIR(mode):
        return "is a folder"
    if stat.S_ISSOCK(mode):
        return "is a socket"
    return None if stat.S_ISREG(mode) else "is a device"
