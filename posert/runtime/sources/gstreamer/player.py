"""One running pipeline that OpenCV reads from; nothing it does lasts longer than it may."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

import cv2
import numpy as np

from posert.errors import ConfigError
from posert.runtime.elements import (
    Deadline,
    Supervision,
    missing,
    silence_opencv,
    supervised,
    why_not_parsed,
)
from posert.runtime.pipelines.passwords import without_passwords
from posert.runtime.pipelines.text import PipelineText, named_elements
from posert.types import Image

log = logging.getLogger(__name__)


class Player:
    """A started pipeline. ``opened`` is False where it did not start: see ``reason``.

    Raises:
        ConfigError: it asks for elements that are not installed, or is no pipeline.
    """

    def __init__(self, pipeline: PipelineText, name: str, timeout_s: float) -> None:
        check(pipeline, name)
        silence_opencv()
        log.debug("%s: %s", name, pipeline.safe)
        self._use = threading.Lock()  # OpenCV must not be closed while it reads
        self._closed = False
        with supervised() as self._supervision:
            self._deadline = Deadline(self._supervision, name)
            with self._deadline.within(timeout_s):
                self._capture = cv2.VideoCapture(pipeline.text, cv2.CAP_GSTREAMER)
        # also when it is forgotten, or the program ends: OpenCV would wait for GStreamer's threads
        # with Python's lock in its hand, which these need
        self._end = weakref.finalize(
            self, _release, self._capture, self._supervision, self._deadline
        )
        self.opened = bool(self._capture.isOpened()) and not self._deadline.expired

    @property
    def rate(self) -> float:
        """Frames a second as the stream says; 0 or nonsense where it does not."""
        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def expired(self) -> bool:
        """Whether it was stopped because nothing came in time."""
        return self._deadline.expired

    @property
    def reason(self) -> str:
        """What its elements complained of first; empty where nothing did."""
        return without_passwords(next(iter(self._supervision.errors), ""))

    def grab(self, timeout_s: float) -> bool:
        """Waits for the next picture; False: there is none, or none came in time."""
        with self._use:
            if self._closed or self.expired:
                return False
            with self._deadline.within(timeout_s):
                return bool(self._capture.grab())

    def picture(self) -> Image | None:
        """The picture that was grabbed, (H, W, 3) uint8 BGR."""
        with self._use:
            if self._closed:
                return None
            ok, image = self._capture.retrieve()
        return np.asarray(image, np.uint8) if ok else None

    def close(self) -> None:
        """Ends the pipeline; safe to call twice, and while another thread waits in ``grab``."""
        if self._closed:
            return
        self._closed = True
        self._supervision.stop()
        with self._use:
            self._end()


def check(pipeline: PipelineText, name: str) -> None:
    """Refuses what GStreamer would not take, in words.

    Raises:
        ConfigError: elements are missing, or it is no pipeline.
    """
    if why := missing(named_elements(pipeline.text)):
        raise ConfigError(f"{name}: {why}", fix="install it, or use --io ffmpeg")
    if why := why_not_parsed(pipeline.text):
        why = without_passwords(why)
        raise ConfigError(f"{name}: GStreamer refuses the pipeline ({why})", got=pipeline.safe)


def _release(capture: Any, supervision: Supervision, deadline: Deadline) -> None:
    capture.release()
    supervision.release()
    deadline.close()
