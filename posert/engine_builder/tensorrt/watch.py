"""What TensorRT says while it builds: its log, its progress, and what our callbacks raised."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from posert.errors import EngineError

Progress = Callable[[str, float], None]  # the phase at work, and how much of the build is done

_PREFIX = re.compile(r"^.*?Error Code \d+: |^\w+\.cpp:\d+: ")
_SOURCE_LINE = re.compile(r"\.?\s+In \S+ at \S+:\d+")
_LONGEST = 240
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
log = logging.getLogger(__name__)


def shortened(message: str) -> str:
    """A message of TensorRT on one line, without its own source files and error numbers."""
    line = _SOURCE_LINE.sub("", _PREFIX.sub("", " ".join(message.split())))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


class BuildWatch:
    """Listens to one build.

    TensorRT's calls do not raise: they return None or False, and the reason is only in the log.
    What a callback raises is printed and lost in TensorRT's C++, and Ctrl-C may be raised in any,
    its first line included. So all are kept here, and the build is asked to stop where TensorRT has
    a progress monitor.
    """

    def __init__(self, title: str, progress: Progress | None = None) -> None:
        self.title = title  # of the TensorRT that builds
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self._progress = progress
        self._phases = _Phases()
        self._raised: BaseException | None = None

    @property
    def reason(self) -> str:
        """What TensorRT gave as the reason of a failure: its first error."""
        return shortened(self.errors[0]) if self.errors else "TensorRT's log gives no reason"

    def take(self) -> list[str]:
        """The errors and warnings so far, which are forgotten here."""
        taken = self.errors + self.warnings
        self.errors, self.warnings = [], []
        return taken

    def failure(self, what: str) -> EngineError:
        """The error that ``what`` has happened, with TensorRT's reason."""
        return EngineError(f"{self.title}: {what}: {self.reason}")

    def made(self, value: Any, otherwise: str) -> Any:
        """``value``, or the failure that it is None, or what a callback raised on the way."""
        self.raise_what_callbacks_raised()
        if value is None:
            raise self.failure(otherwise)
        return value

    def raise_what_callbacks_raised(self) -> None:
        if self._raised is not None:
            raise self._raised

    @contextmanager
    def signals_kept(self) -> Iterator[None]:
        """Keeps what Python's signal handlers raise inside the block, and raises it at its end."""
        handlers = {}
        if threading.current_thread() is threading.main_thread():  # no other runs handlers
            known = {number: signal.getsignal(number) for number in _SIGNALS}
            handlers = {n: handler for n, handler in known.items() if callable(handler)}
        for number, handler in handlers.items():
            signal.signal(number, partial(self.guarded, handler))
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.raise_what_callbacks_raised()

    def said(self, severity: str, message: str) -> None:
        """Keeps a line of TensorRT's log; ``severity`` is the name of its enum member."""
        if severity in ("INTERNAL_ERROR", "ERROR"):
            self.errors.append(message)
        elif severity == "WARNING":
            self.warnings.append(message)
        if severity != "VERBOSE":  # thousands of lines a build
            # below WARNING: what matters of it reaches the user in our own lines and errors
            log.log(logging.DEBUG if severity == "INFO" else logging.INFO, "TensorRT: %s", message)

    def guarded(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Calls, keeps what is raised, and says whether the build may go on."""
        try:
            if self._raised is None:
                call(*arguments)
        except BaseException as e:  # noqa: BLE001  raise_what_callbacks_raised raises it
            self._raised = e
        return self._raised is None

    def started(self, phase: str, parent: str | None, steps: int) -> None:
        self._phases.start(phase, parent, steps)
        self._report(phase)

    def stepped(self, phase: str, step: int) -> None:
        self._phases.step(phase, step)
        self._report(phase)

    def finished(self, phase: str) -> None:
        self._phases.finish(phase)
        self._report(phase)

    def _report(self, phase: str) -> None:
        if self._progress is not None:
            self._progress(phase, self._phases.done(phase))


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class _Phases:
    """TensorRT's tree of phases as one fraction that never falls."""

    def __init__(self) -> None:
        self._open: dict[str, _Phase] = {}
        self._most = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._open[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        if name in self._open:
            self._open[name].done = step + 1

    def finish(self, name: str) -> None:
        phase = self._open.pop(name, None)
        if phase is not None and phase.parent is None:
            self._most = 1.0

    def done(self, name: str) -> float:
        """Of the whole build, seen from the open phase ``name``; 0 to 1."""
        fraction = 0.0
        at: str | None = name
        for _ in range(len(self._open)):  # a name that comes twice makes no endless chain
            phase = self._open.get(at or "")
            if phase is None:
                break
            fraction = min((phase.done + fraction) / phase.steps, 1.0)
            at = phase.parent
        self._most = max(self._most, fraction)
        return self._most


def make_logger(module: Any, watch: BuildWatch) -> Any:
    """An ``ILogger`` of this TensorRT that tells ``watch``."""

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            watch.guarded(watch.said, severity.name, message)

    return Logger()


def make_monitor(module: Any, watch: BuildWatch) -> Any:
    """An ``IProgressMonitor`` of this TensorRT that tells ``watch``; None where there is none."""
    if not hasattr(module, "IProgressMonitor"):
        return None

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            watch.guarded(watch.started, phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return watch.guarded(watch.stepped, phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            watch.guarded(watch.finished, phase_name)

    return Monitor()
