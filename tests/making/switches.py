"""Id switches, counted as CLEAR MOT does (Bernardin and Stiefelhagen, 2008).

Frame by frame each known person keeps the id they were matched to as long as that still fits; the
others are matched so that the most keypoints fit. A switch is a person whose id is not the last
one that they had, however long ago that was.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from posert.types import People

NEAR = 0.1  # heights of the person: a keypoint this near to the true one is theirs
AROUND = 0.15  # of a box's longer side: keypoints this far outside still count as inside

Who = Hashable
Fits = npt.NDArray[np.int64]  # (W, P) keypoints of each found person that are each known one's


@dataclass(frozen=True)
class Seen:
    """Who is in a frame, and how well the people found fit them."""

    frame: int
    who: Sequence[Who]
    ids: Sequence[int]
    fits: Fits


@dataclass(frozen=True)
class Switch:
    """A known person who had one id at a frame, and has another one."""

    who: Who
    before: int
    last_frame: int
    after: int
    frame: int


def switches(frames: Iterable[Seen]) -> tuple[list[Switch], int]:
    """All switches, and how often a known person was matched to somebody with an id."""
    found: list[Switch] = []
    last: dict[Who, tuple[int, int]] = {}  # id and frame
    current: dict[Who, int] = {}
    matched = 0
    for seen in frames:
        current = _matches(seen, current)
        matched += len(current)
        for who, now in current.items():
            before, when = last.get(who, (now, 0))
            if before != now:
                found.append(Switch(who, before, when, now, seen.frame))
            last[who] = (now, seen.frame)
    return found, matched


def _matches(seen: Seen, previous: dict[Who, int]) -> dict[Who, int]:
    """The id of each person of a frame who has one."""
    fits = seen.fits * (np.asarray(seen.ids, np.int64) > 0)
    out: dict[Who, int] = {}
    for row, who in enumerate(seen.who):
        known = previous.get(who, 0)
        if known in seen.ids and fits[row, seen.ids.index(known)] > 0:
            out[who] = known
    for row, who in enumerate(seen.who):
        if who in out:
            fits[row] = 0
    fits[:, [number in out.values() for number in seen.ids]] = 0
    for best_row, best_column in zip(*linear_sum_assignment(fits, maximize=True), strict=True):
        if fits[best_row, best_column] > 0:
            out[seen.who[int(best_row)]] = seen.ids[int(best_column)]
    return out


def _half(hits: npt.NDArray[np.bool_], people: People) -> Fits:
    """(W, P) of (W, P, C) keypoints that are the person's, 0 where they are not half of all."""
    count = hits.sum(axis=2)
    whole = np.isfinite(people.keypoints[:, :, 0]).sum(axis=1)
    return np.asarray(np.where(2 * count >= whole, count, 0))


def _ids(people: People) -> list[int]:
    assert people.ids is not None
    return [int(number) for number in people.ids]


@dataclass(frozen=True)
class Truth:
    """The people of a rendered clip, ``*.truth.json``."""

    frames: list[list[dict[str, Any]]]
    order: list[int]  # where each keypoint of the network stands in the file

    @classmethod
    def read(cls, path: Path, keypoints: Sequence[str]) -> Truth:
        """The truth of a clip in the order of ``keypoints``."""
        document = json.loads(path.read_text())
        return cls(document["frames"], [document["keypoints"].index(name) for name in keypoints])

    def seen(self, frame: int, people: People) -> Seen:
        """Who is in a frame: half of someone's keypoints within a tenth of the walker's height."""
        walkers = self.frames[frame]
        known = np.array([w["keypoints"] for w in walkers]).reshape(-1, 18, 3)[:, self.order, :2]
        height = np.array([w["bbox"][3] for w in walkers])[:, None, None]
        away = np.linalg.norm(known[:, None] - people.keypoints[None, :, :, :2], axis=3)
        who = [w["id"] for w in walkers]
        return Seen(frame, who, _ids(people), _half(away < NEAR * height, people))

    def hidden(self, who: Who, first: int, last: int, least: int = 3) -> int:
        """The most frames in a row, of ``first`` to ``last``, with fewer than ``least`` in view."""
        longest = run = 0
        for frame in self.frames[first : last + 1]:
            views = [sum(k[2] == 2 for k in w["keypoints"]) for w in frame if w["id"] == who]
            run = run + 1 if not views or views[0] < least else 0
            longest = max(longest, run)
        return longest


@dataclass(frozen=True)
class Boxes:
    """Who is where in a real clip, by eye: a JSON of name: [[frame, x, y, width, height], ...]."""

    at: dict[int, dict[str, list[float]]]

    @classmethod
    def read(cls, path: Path) -> Boxes:
        """The boxes of a clip."""
        at: dict[int, dict[str, list[float]]] = {}
        for who, rows in json.loads(path.read_text())["people"].items():
            for frame, *box in rows:
                at.setdefault(frame, {})[who] = box
        return cls(at)

    def seen(self, frame: int, people: People) -> Seen:
        """Who is in a frame: half of someone's keypoints in the person's box."""
        boxes = np.array(list(self.at[frame].values()), float)
        low, size = boxes[:, None, None, :2], boxes[:, None, None, 2:]
        room = AROUND * size.max(axis=3, keepdims=True)
        xy = people.keypoints[None, :, :, :2]
        inside = ((xy >= low - room) & (xy <= low + size + room)).all(axis=3)
        return Seen(frame, list(self.at[frame]), _ids(people), _half(inside, people))
