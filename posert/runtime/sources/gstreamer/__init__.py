"""Files, cameras and streams through OpenCV's GStreamer, which knows hardware decoders."""

from posert.runtime.sources.gstreamer.capture import GstCapture
from posert.runtime.sources.gstreamer.file import GstFile

__all__ = ["GstCapture", "GstFile"]
