"""From a network's maps to people, and what is done with people after that."""

from __future__ import annotations

from posert.postprocess.parser import parse_maps
from posert.postprocess.settings import ParserSettings

__all__ = ["ParserSettings", "parse_maps"]
