"""What drawing costs in each style, and how many true faces of the demo clip are left to see.

    python bench/draw.py

Prints CPU milliseconds of a 1920 x 1080 frame with the 8 people of one frame of the demo clip, in
one thread, median of 100, and then counts faces: people found in every 5th frame, matched with the
clip's true keypoints (median distance under a tenth of the height); a face is hidden if circles
cover all its true keypoints, a head if they cover all that is within 12 cm of its middle.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from posert.pose import Pose
from posert.postprocess.draw import DrawStyle, Painter
from posert.postprocess.draw.faces import FaceBlur
from posert.postprocess.draw.heads import body, usual_radius
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

DEMO = Path(__file__).parents[1] / "demo"
ROUNDS = 100
STYLES = {
    "default": DrawStyle(),
    "coco": DrawStyle("coco"),
    "boxes": DrawStyle(boxes=True),
    "ids": DrawStyle(ids=True),
    "trails 2 s": DrawStyle(trails_s=2.0),
    "names": DrawStyle(names=True),
    "fade": DrawStyle(fade=True),
    "blur faces": DrawStyle(blur_faces=True),
    "background people": DrawStyle(background="people"),
    "background black": DrawStyle(background="black"),
}


def found_people(pose: Pose) -> Iterator[tuple[int, Image, People]]:
    """Every 5th frame of the clip."""
    with av.open(str(DEMO / "walkers.mp4")) as clip:
        for i, frame in enumerate(clip.decode(video=0)):
            if i % 5 == 0:
                image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                yield i, image, pose(image)


def milliseconds(topology: Topology, style: DrawStyle, image: Image, people: People) -> float:
    """Median CPU time of a frame; people walk, so that trails have their length."""
    painter, spent = Painter(topology, style), []
    for i in range(ROUNDS):
        keypoints = people.keypoints + np.array([2 * (i % 50), 0, 0], np.float32)
        moved = People(keypoints, people.scores, ids=people.ids)
        begun = time.process_time()
        painter.draw(image, moved, i / 30)
        spent.append(time.process_time() - begun)
    return 1e3 * float(np.median(spent))


def costs(topology: Topology, image: Image, people: People) -> None:
    larger = np.asarray(cv2.resize(image, (1920, 1080)), np.uint8)
    keypoints = people.keypoints * np.array([1.5, 1.5, 1], np.float32)
    crowd = People(keypoints, people.scores, ids=np.arange(1, len(people) + 1))
    print(f"{len(crowd)} people, 1920 x 1080")
    for name, style in STYLES.items():
        print(f"{name:20} {milliseconds(topology, style, larger, crowd):6.2f} ms")


def judge(blur: FaceBlur, keypoints: Float32, walkers: Float32, faces: list[int]) -> Counter[str]:
    """Whether a person's true face and head are covered; nothing where nobody is matched."""
    apart = np.hypot(*(walkers[..., :2] - keypoints[None, :, :2]).transpose(2, 0, 1))
    nearest = int(np.argmin(np.nanmedian(apart, axis=1)))
    true = walkers[nearest]
    if np.nanmedian(apart[nearest]) > 0.1 * np.ptp(true[:, 1]):
        return Counter()
    circles = np.array(blur.circles(keypoints, 12.0))

    def covered(xy: Float32) -> bool:
        away = np.hypot(*(xy[:, None] - circles[None, :, :2]).transpose(2, 0, 1))
        return bool((away <= circles[:, 2]).any(axis=1).all())

    face = true[faces, :2]
    angle = np.linspace(0, 2 * np.pi, 24)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1) * usual_radius(true, blur.body) * 0.8
    middle = (face.min(axis=0) + face.max(axis=0)) / 2
    hidden = {"faces seen": not covered(face), "heads seen": not covered(middle + around)}
    return Counter({"people": 1, **{name: int(seen) for name, seen in hidden.items()}})


def main() -> None:
    cv2.setNumThreads(1)
    pose = Pose("pose-small")
    truth = json.loads((DEMO / "walkers.truth.json").read_text())
    order = [truth["keypoints"].index(name) for name in pose.topology.keypoints]
    blur, counts = FaceBlur(pose.topology), Counter[str]()
    for i, image, people in found_people(pose):
        if i == 100:
            costs(pose.topology, image, people)
        walkers = np.array([w["keypoints"] for w in truth["frames"][i]], np.float32)[:, order]
        for keypoints in people.keypoints:
            counts += judge(blur, keypoints, walkers, body(pose.topology).face)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
