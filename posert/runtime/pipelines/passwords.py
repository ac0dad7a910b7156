"""Addresses, pipelines and messages as logs and results may show them: without passwords."""

from __future__ import annotations

import re
from typing import Final

_CUSTOM: Final = "gst://"
_USER: Final = r"(://[^/?#@:\[]*):"
_KEY: Final = r"(?:[a-z]+-)*(?:pass\w*?|pwd|pw|token|(?:api)?key|secret|auth\w*?|sig(?:nature)?)"
_IN_ADDRESS: Final = re.compile(rf"(?i)([?&;/_]{_KEY}=)[^&#;]*")
_IN_TEXT: Final = re.compile(rf"(?i)([?&;/_]{_KEY}=)(?:\\.|[^&#;\s\"])*")
# of an element, or a format
_PROPERTY: Final = re.compile(
    rf"""(?i)((?:^|[\s,]){_KEY}\s*=\s*)(?:\\?"(?:\\.|[^"\\])*"?|'[^']*'?|\S+)"""
)


def without_password(address: str) -> str:
    """``rtsp://user:secret@host`` as ``rtsp://user:***@host``; for logs and results.

    A password may hold ``@`` and ``:``. One that holds ``/``, ``?`` or ``#`` does not work, but is
    hidden too; what follows the host's colon is taken for a port where it is a number.
    """
    if address.startswith(_CUSTOM):
        return _CUSTOM + without_passwords(address.removeprefix(_CUSTOM))
    return _IN_ADDRESS.sub(r"\1***", _without_login(address))


def without_passwords(text: str) -> str:
    """A pipeline or a message, whose addresses and properties may hold some."""
    text = re.sub(r"\S+://\S+", lambda word: _without_login(word[0]), text)
    return _PROPERTY.sub(r"\1***", _IN_TEXT.sub(r"\1***", text))


def _without_login(address: str) -> str:
    hidden, count = re.subn(_USER + r"[^/?#]*@", r"\1:***@", address, count=1)
    if count:
        return hidden
    return re.sub(_USER + r"(?![0-9]*(?:[/?#]|$))[^@]*@", r"\1:***@", address, count=1)
