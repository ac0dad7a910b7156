"""What a text names - a file, a camera, a stream - and how it is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from posert.runtime.video_io import Kind

_SCHEMES: dict[str, Kind] = {
    "rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http",
    "udp": "udp", "rtp": "udp", "v4l2": "v4l2", "csi": "csi", "gst": "gst",
}  # fmt: skip
_CAMERA = re.compile(r"(/dev/video)?[0-9]+|/dev/v4l/by-(id|path)/[^/]+")
_SECRETS = r"(?i)([?&;/_](?:pass\w*?|pwd|token|key|secret)=)[^&#;/]*"


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


def without_password(address: str) -> str:
    """``rtsp://user:secret@host`` as ``rtsp://user:***@host``; for logs and results.

    A password may hold ``@`` and ``:``. One that holds ``/``, ``?`` or ``#`` does not work, but is
    hidden too; what follows the host's colon is taken for a port where it is a number.
    """
    user = r"(://[^/?#@:\[]*):"
    hidden, count = re.subn(user + r"[^/?#]*@", r"\1:***@", address, count=1)
    if not count:
        hidden = re.sub(user + r"(?![0-9]*(?:[/?#]|$))[^@]*@", r"\1:***@", address, count=1)
    return re.sub(_SECRETS, r"\1***", hidden)
