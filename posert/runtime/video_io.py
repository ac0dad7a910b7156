"""Which library decodes a source: the choices of ``--io``, and what works here."""

from __future__ import annotations

from typing import Literal, TypeAlias

VideoIO: TypeAlias = Literal["auto", "ffmpeg", "gstreamer", "nvcodec"]
