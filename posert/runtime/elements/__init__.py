"""What GStreamer has here, asked of the library itself, and a hold on running pipelines."""

from posert.runtime.elements.deadline import Deadline
from posert.runtime.elements.library import available, prefer, why_no_gstreamer, why_not_parsed
from posert.runtime.elements.opencv import opencv_has_gstreamer, silence_opencv
from posert.runtime.elements.packages import missing, package_of
from posert.runtime.elements.supervision import Supervision, supervised

__all__ = [
    "Deadline", "Supervision", "available", "missing", "opencv_has_gstreamer", "package_of",
    "prefer", "silence_opencv", "supervised", "why_no_gstreamer", "why_not_parsed",
]  # fmt: skip
