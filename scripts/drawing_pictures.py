"""The pictures of docs/drawing.md: the same moment of the demo clip in several styles.

python scripts/drawing_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from posert.pose import Pose
from posert.postprocess.draw import DrawStyle, Painter
from posert.postprocess.draw.text import Lettering
from posert.postprocess.track import Tracker
from posert.types import Image, People

ROOT = Path(__file__).parents[1]
FIRST, LAST = 55, 112  # frames of the clip: what leads to the picture, and the picture
PART = np.s_[150:630, 320:1180]
STYLES = {
    "the default": DrawStyle(),
    "--colours trt_pose": DrawStyle("trt_pose"),
    "--colours coco --fade": DrawStyle("coco", fade=True),
    "--colours ids --ids --trails 2s": DrawStyle("ids", ids=True, trails_s=2),
    "--boxes --ids": DrawStyle(boxes=True, ids=True),
    "--names": DrawStyle(names=True),
    "--blur-faces": DrawStyle(blur_faces=True),
    "--background people": DrawStyle(background="people"),
    "--background black --colours coco": DrawStyle("coco", background="black"),
}


def moments(pose: Pose) -> list[tuple[Image, People, float]]:
    """Pictures, people with ids, and seconds."""
    tracker, found = Tracker(pose.topology), []
    with av.open(str(ROOT / "demo" / "walkers.mp4")) as clip:
        for i, frame in enumerate(clip.decode(video=0)):
            if FIRST <= i <= LAST:
                image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                found.append((image, tracker.update(pose(image), i / 30), i / 30))
    return found


def tile(
    pose: Pose, caption: str, style: DrawStyle, seen: list[tuple[Image, People, float]]
) -> Image:
    """The last moment in a style, with its caption."""
    painter = Painter(pose.topology, style)
    for image, people, time_s in seen:
        drawn = painter.draw(image, people, time_s)
    small = cv2.resize(drawn[PART], (480, 268), interpolation=cv2.INTER_AREA)
    canvas = np.asarray(small, np.uint8)
    Lettering(0.5, 1, 1).write(canvas, caption, 8, 8, (255, 255, 255))
    return canvas


def main() -> None:
    """Writes docs/drawing.jpg."""
    pose = Pose("pose-small")
    seen = moments(pose)
    tiles = [tile(pose, caption, style, seen) for caption, style in STYLES.items()]
    sheet = np.vstack([np.hstack(tiles[i : i + 3]) for i in range(0, len(tiles), 3)])
    cv2.imwrite(str(ROOT / "docs" / "drawing.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 78])


if __name__ == "__main__":
    main()
