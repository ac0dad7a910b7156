"""HD video that names no colour matrix is read as players read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making.clips import clip

from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile

GREEN = (60, 200, 60)  # BGR


@pytest.mark.parametrize("height", [480, 720])
def test_untagged_colours_change_at_720_lines(tmp_path: Path, height: int) -> None:
    """FFmpeg encodes these by BT.601; only read by BT.709 do they come back changed."""
    image = np.full((height, 64, 3), GREEN, np.uint8)
    source = VideoFile(clip(tmp_path / "untagged.mp4", [image]))
    (frame,) = source.frames(Span())
    source.close()
    off = np.abs(frame.image.astype(int) - GREEN).max()
    assert off > 10 if height >= 720 else off < 6
