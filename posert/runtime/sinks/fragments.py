"""The fragments of an MP4 as a full disk leaves them: the last one torn."""

from __future__ import annotations

import os
import struct


def drop_torn(fd: int) -> None:
    """Cuts the MP4 that is open as ``fd`` behind its last whole fragment.

    FFmpeg leaves a torn one out, not all players do.

    Raises:
        OSError: it cannot be read or cut.
    """
    end = os.fstat(fd).st_size
    at = whole = 0
    while len(header := os.pread(fd, 16, at)) >= 8:
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack(">Q", header[8:])
        at += size
        if size < 8 or at > end:
            break
        if kind != b"moof":  # it is of no use without the mdat behind it
            whole = at
    if whole < end:
        os.ftruncate(fd, whole)
