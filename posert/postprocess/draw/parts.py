"""Which part of the body a keypoint is, and on which side: told by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

Side: TypeAlias = Literal["left", "right", ""]

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # of left_eye, left eye, leftEye, LEye
_SIDES: Final[dict[str, Side]] = {
    "left": "left",
    "l": "left",
    "right": "right",
    "r": "right",
}
FACE: Final = frozenset({"nose", "eye", "ear", "mouth", "lip", "chin", "head", "face", "forehead"})
_BODY: Final = frozenset({"neck", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"})


class Part(NamedTuple):
    """A part of the body."""

    name: str  # eye, shoulder, ...
    side: Side


@lru_cache(maxsize=1024)
def part(keypoint: str) -> Part:
    """``left_eye``, ``Left Eye``, ``leftEye`` and ``LEye`` are all the left eye."""
    words = [word.lower() for word in _WORD.findall(keypoint)]
    side: Side = next((_SIDES[word] for word in words if word in _SIDES), "")
    known = [word for word in words if word in FACE or word in _BODY]
    others = [word for word in words if word not in _SIDES]
    return Part((known or others or [""])[0], side)
