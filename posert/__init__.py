"""PoseRT: multi-person pose estimation on video, from a laptop to a GPU server.

import posert

people = posert.Pose("pose-small")(image)            # one picture
report = posert.run("clip.mp4", "out/clip.mp4")      # videos, cameras, streams
engine = posert.build_engine("pose-small")           # the fastest one of this device, ahead of time
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posert.version import __version__ as __version__

if TYPE_CHECKING:
    from posert.engines import build_engine
    from posert.pose import Pose
    from posert.report import Report
    from posert.running import run
    from posert.settings import RunSettings
    from posert.types import People

__all__ = ["People", "Pose", "Report", "RunSettings", "build_engine", "run"]

_HOME = {
    "build_engine": "posert.engines",
    "Pose": "posert.pose",
    "Report": "posert.report",
    "run": "posert.running",
    "RunSettings": "posert.settings",
    "People": "posert.types",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used: ``import posert`` alone costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'posert' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
