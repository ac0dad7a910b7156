"""What is written to a file, on the disk within a second: a power cut takes no more than that."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_EVERY_S: Final = 0.5  # with fragments of a quarter of a second the sum stays below a second


class DiskSync:
    """Claims a file for one writer and puts it on the disk twice a second, in a thread of its own.

    To be made before the file is opened for writing, which would empty another run's. Pipes and
    devices are left alone.

    Raises:
        OSError: another run writes it.
    """

    def __init__(self, path: Path) -> None:
        self._error: OSError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.fd: int | None = None  # of the file while it is open, to read and write
        try:
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                return
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            _claim(self.fd)
        except BlockingIOError as e:
            if self.fd is not None:
                os.close(self.fd)
            raise OSError(errno.EBUSY, "another run writes it") from e
        except OSError as e:
            log.info("%s: a power cut may take it: %s", path, e.strerror)
            return
        _sync_folder(path)
        self._thread = threading.Thread(target=self._run, args=(self.fd,), name="disk", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises OSError where the disk refused the file, or the file was removed."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Puts the rest on the disk; call it when the file is complete.

        Raises:
            OSError: it is not there.
        """
        if self._thread is None or self.fd is None:
            return
        self._stop.set()
        self._thread.join()
        self._sync(self.fd)
        fd, self.fd = self.fd, None
        os.close(fd)
        self.check()

    def _run(self, fd: int) -> None:
        while self._error is None and not self._stop.wait(_EVERY_S):
            self._sync(fd)

    def _sync(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
            if os.fstat(fd).st_nlink == 0:
                raise OSError(errno.ESTALE, "it was removed while it was written")
        except OSError as e:
            self._error = self._error or e


def _claim(fd: int) -> None:
    """Raises BlockingIOError where another writer has it; given up when ``fd`` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as e:  # some network file systems have no locks
        log.debug("no lock: %s", e.strerror)


def _sync_folder(path: Path) -> None:
    """The file's name is to survive a power cut too; not all file systems promise it."""
    try:
        fd = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        log.info("%s: its name may not survive a power cut: %s", path, e.strerror)
