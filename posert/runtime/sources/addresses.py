"""What a text names - a file, a camera, a stream - and how it is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from posert.runtime.pipelines.passwords import without_password
from posert.runtime.video_io import Kind

__all__ = ["is_address", "kind_of", "url_path", "without_password"]

_SCHEMES: dict[str, Kind] = {
    "rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http",
    "udp": "udp", "rtp": "udp", "v4l2": "v4l2", "csi": "csi", "gst": "gst",
}  # fmt: skip
_CAMERA = re.compile(r"(/dev/video)?[0-9]+|/dev/v4l/by-(id|path)/[^/]+")


def is_address(text: str) -> bool:
    """Whether ``text`` is a camera or a URL rather than a path."""
    return _CAMERA.fullmatch(text) is not None or "://" in text


def kind_of(text: str) -> Kind:
    """How ``text`` is read: ``v4l2`` is a camera, ``stream`` any URL but the better known ones."""
    if "://" in text:
        return _SCHEMES.get(text.partition("://")[0].lower(), "stream")
    return "v4l2" if is_address(text) else "file"


def url_path(address: str) -> str:
    """The path of a URL, without host and query."""
    return urlsplit(address).path
