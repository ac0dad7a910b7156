"""The values that travel through PoseRT, with their shapes and units.

Glossary of shapes: N batch, C keypoint types, K link types, M most peaks of a type, P people,
H and W image pixels, h and w map cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.intp]  # places along an axis
Image: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3), BGR
Images: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W, 3), BGR, all of a network's input size


class DevicePicture(Protocol):
    """A decoded picture in a GPU's memory."""

    height: int  # pixels
    width: int

    def to_host(self) -> Image:
        """A copy in host memory, (H, W, 3) uint8 BGR."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of a source."""

    picture: Image | DevicePicture  # (H, W, 3) uint8 BGR, or where the decoder left it
    index: int  # position in the source, counted from 0 over all its frames
    pts: int  # presentation time since the source's first frame, in the source's time_base
    time_s: float  # the same in seconds
    seen_s: float = math.nan  # time.monotonic() when a live source had it; NaN: not live

    @property
    def image(self) -> Image:
        """(H, W, 3) uint8 BGR; each call copies a picture that is on a device."""
        return self.picture if isinstance(self.picture, np.ndarray) else self.picture.to_host()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels; a live source's may change, unlike its SourceInfo's."""
        if isinstance(self.picture, np.ndarray):
            return self.picture.shape[1], self.picture.shape[0]
        return self.picture.width, self.picture.height


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source once it is open."""

    name: str  # as the user gave it, passwords removed
    width: int  # pixels, after rotation
    height: int
    rate: Fraction  # frames per second, on average
    time_base: Fraction  # seconds per unit of Frame.pts
    frames: int | None = None  # how many its header promises; None where that is unknown
    still: bool = False  # a picture, not a video
    live: bool = False  # has no end and does not wait: frames may be dropped
    audio: Path | None = None  # the file that holds its sound, if it has any
    start_pts: int = 0  # time of Frame.pts 0 in the file's own clock, in time_base
    sample_aspect_ratio: Fraction | None = None  # a pixel's width / height, after rotation


@dataclass(frozen=True, slots=True, eq=False)
class PoseMaps:
    """What a network says of one picture, cells of the map as coordinates."""

    cmap: Float32  # (C, h, w) confidence of each keypoint type
    paf: Float32  # (2K, h, w) part affinity fields; the topology names the channels


@dataclass(frozen=True, slots=True, eq=False)
class PoseTensors:
    """What the compact form says of one picture: peaks and link scores instead of maps."""

    peaks: Float32  # (C, M, 3) y, x in map cells and score; valid up to counts
    counts: Int64  # (C,) peaks found of each type, those beyond M included
    link_scores: Float32  # (K, M, M) of link k between peak a (row) and b; valid up to counts


PoseOutput: TypeAlias = PoseMaps | PoseTensors  # of the maps form, of the compact form


@dataclass(frozen=True, slots=True)
class Capped:
    """How much a parser left out because a cap was reached. Never silent: it is logged."""

    peaks: int = 0  # peaks beyond max_peaks, over all keypoint types
    people: int = 0  # people beyond max_people

    def __bool__(self) -> bool:
        return bool(self.peaks or self.people)

    def __add__(self, other: Capped) -> Capped:
        return Capped(self.peaks + other.peaks, self.people + other.people)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """The people found in one picture.

    ``keypoints`` are in map cells as the parser returns them and in source pixels everywhere
    else; a keypoint that was not found is NaN in all three numbers.
    """

    keypoints: Float32  # (P, C, 3) x, y, score
    scores: Float32  # (P,) person score, for ranking
    capped: Capped = Capped()
    # (P,) who each is, from 1, never given twice in a source; 0: not sure yet; None: not followed
    ids: Int64 | None = None

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What was found in one frame; keypoints in source pixels."""

    source: SourceInfo
    frame: Frame
    people: People


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture was scaled into a network's input, with its exact inverse.

    Source pixels count as OpenCV and COCO count them: the centre of the first pixel is (0, 0).
    Cells count from the map's corner: the centre of the first cell is (0.5, 0.5). The scaled
    picture lies at the top left of the input; x and y may scale differently.
    """

    scale_x: float  # input pixels per source pixel
    scale_y: float
    stride: int  # input pixels per map cell

    def to_cells(self, xy_px: Float32) -> Float32:
        """(..., 2) source pixels to (..., 2) map cells."""
        return ((xy_px + 0.5) * self._cells_per_px()).astype(np.float32)

    def to_source(self, xy_cells: Float32) -> Float32:
        """(..., 2) map cells to (..., 2) source pixels."""
        return (xy_cells / self._cells_per_px() - 0.5).astype(np.float32)

    def _cells_per_px(self) -> npt.NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y]) / self.stride
