"""A worker as its run sees it: started, told, heard, and what it means when it is gone."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Final

from posert.errors import EngineError
from posert.runtime.stream import Tally
from posert.workers.messages import Task

log = logging.getLogger(__name__)

# Not by multiprocessing, which would run the user's own script again in each worker.
_START: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; from importlib import import_module; "
    "import_module(sys.argv[1]).main(*map(int, sys.argv[2].split(',')))"
)
_PATIENCE_S: Final = 10.0  # for the end of a process that has said its last
_DIES_S: Final = 5.0  # from the end of its pipe to that of a process
_LOGGERS: Final = ("", "posert", "PyNvVideoCodec")


class Child:
    """A process of ours and the pipe to it."""

    def __init__(
        self, name: str, module: str, environment: Mapping[str, str], handles: Sequence[int] = ()
    ) -> None:
        """Starts it.

        Args:
            name: for log lines.
            module: its ``main`` is called with the pipe's file descriptor and ``handles``.
            environment: what it has beside that of this process.
            handles: further file descriptors that it is to have.

        Raises:
            EngineError: it cannot be started.
        """
        self.name = name
        try:
            self.connection = self._start(module, environment, handles)
        except OSError as e:
            raise EngineError(f"{name} cannot be started", got=e.strerror) from e

    def _start(
        self, module: str, environment: Mapping[str, str], handles: Sequence[int]
    ) -> Connection:
        words = _words()
        with ExitStack() as closed:
            given = []
            ours, theirs = (closed.enter_context(end) for end in Pipe())
            for handle in (theirs.fileno(), *handles):
                given.append(beside_standard(handle))
                closed.callback(os.close, given[-1])
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, module, ",".join(map(str, given)), *sys.path],
                env={**os.environ, **environment},
                pass_fds=given,
                stdin=subprocess.DEVNULL,
                stdout=words,  # what a library prints is no data of ours
                stderr=words,
                start_new_session=True,  # a terminal's signals are for the run, which tells it
            )
            return Connection(beside_standard(ours.fileno()))

    def send(self, message: object) -> None:
        """What it is to know; nothing where it is gone, which ``receive`` tells."""
        try:
            self.connection.send(message)
        except OSError:
            log.debug("%s hears no more", self.name)

    def receive(self) -> Any:
        """What it says next; None when it is gone."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def why_gone(self) -> EngineError:
        """What its death is to be called."""
        try:
            code = self._process.wait(_DIES_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return EngineError(f"{self.name} closed its pipe and hung")
        what = f"ended with code {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        fix = "its own last words are above"
        if code == -signal.SIGKILL:
            fix = "was memory short? the system's log tells"
        return EngineError(f"{self.name} {what}", fix=fix)

    def join(self) -> None:
        """Waits for the end of a process that is done."""
        self.connection.close()
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            log.warning("%s was done but did not end, and was killed", self.name)
            return
        if code:
            log.warning("%s was done, then ended with code %d", self.name, code)

    def kill(self) -> None:
        """Ends it at once; its files stay as they are."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


class Worker(Child):
    """A process and the sources it has."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(name, "posert.workers.worker", environment)
        self.tallies: list[Tally] = []
        self.heard_s = time.monotonic()  # when it last told how its sources fare

    def begin(self, task: Task) -> None:
        """Hands over its share."""
        self.tallies = task.tallies
        self.send(task)


def levels() -> dict[str, int]:
    """Which log lines a worker is to send."""
    known = logging.Logger.manager.loggerDict
    named = {name for name in known if name.startswith("posert.")}
    set_ = {name: logging.getLogger(name).level for name in named}
    chosen = {name: level for name, level in set_.items() if level}
    return {**{name: logging.getLogger(name).getEffectiveLevel() for name in _LOGGERS}, **chosen}


def beside_standard(handle: int) -> int:
    """A copy of a file descriptor that is none of 0, 1 and 2, which each process has of its own.

    Where a run was started with these closed, as by a daemon, they are given to what it opens.
    """
    return fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 3)


def _words() -> int:
    """Where a process may say what is no data; nowhere if 2 was closed at our own start."""
    return subprocess.DEVNULL if sys.__stderr__ is None else 2


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
