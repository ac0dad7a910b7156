"""Whether this OpenCV speaks GStreamer; its own lines kept off the user's screen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import cv2

_SILENT: Final = 0  # OpenCV's LOG_LEVEL_SILENT


def opencv_has_gstreamer() -> bool:
    """True where OpenCV was built with GStreamer; ``getBackends`` lists it wherever it could be."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


@lru_cache
def silence_opencv() -> None:
    """Keeps OpenCV's warnings off stderr from now on: what is wrong is told by our own lines."""
    level: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # 4, and 5
    level.setLogLevel(_SILENT)
