"""Ids on whole clips through the default model, against who is who there.

How switches are counted: ``making.switches``. The numbers are those that docs/tracking.md states.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from making.switches import Boxes, Switch, Truth, switches

from posert.config import shipped
from posert.pose import Pose
from posert.postprocess.track import Tracker
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import People

pytestmark = pytest.mark.slow
DEMO = shipped("demo")
BOXES = Path(__file__).parent / "tracks"
SECOND = 30  # frames of the rendered clips


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose()


def follow(pose: Pose, clip: Path) -> list[People]:
    """The people of every frame of a clip, with ids."""
    source, tracker = VideoFile(clip), Tracker(pose.topology)
    tracked = [tracker.update(pose(f.image), f.time_s) for f in source.frames(Span())]
    source.close()
    return tracked


def unexcused(truth: Truth, tracked: list[People]) -> list[Switch]:
    """Switches of those who were not fully hidden for more than a second before."""
    found, matched = switches(truth.seen(i, people) for i, people in enumerate(tracked))
    assert matched > 0.7 * sum(len(frame) for frame in truth.frames)
    return [s for s in found if truth.hidden(s.who, s.last_frame, s.frame) <= SECOND]


def test_the_second_clip_has_ten_people_and_hides_one_for_more_than_a_second(pose: Pose) -> None:
    assert (DEMO / "crossing.mp4").stat().st_size <= 950_000
    with av.open(str(DEMO / "crossing.mp4")) as clip:
        assert clip.streams.video[0].frames == 300
    truth = Truth.read(DEMO / "crossing.truth.json", pose.topology.keypoints)
    there = {
        who: [i for i, frame in enumerate(truth.frames) if who in [w["id"] for w in frame]]
        for who in range(10)
    }
    assert min(map(len, there.values())) > SECOND
    hidden = [truth.hidden(who, at[0], at[-1]) for who, at in there.items()]
    assert max(hidden) > SECOND


@pytest.mark.parametrize(("clip", "most"), [("crossing", 2), ("walkers", 9)])
def test_switches_of_a_rendered_clip(pose: Pose, clip: str, most: int) -> None:
    truth = Truth.read(DEMO / f"{clip}.truth.json", pose.topology.keypoints)
    assert len(unexcused(truth, follow(pose, DEMO / f"{clip}.mp4"))) <= most


@pytest.mark.parametrize(("clip", "most"), [("retail", 6), ("one_by_one", 0)])
def test_switches_of_a_real_clip(pose: Pose, shared: Path, clip: str, most: int) -> None:
    boxes = Boxes.read(BOXES / f"{clip}.json")
    tracked = follow(pose, shared / "data" / "video" / f"{clip}.mp4")
    found, matched = switches(boxes.seen(i, tracked[i]) for i in sorted(boxes.at))
    assert len(found) <= most
    assert matched > 0.95 * sum(map(len, boxes.at.values()))


@pytest.mark.parametrize(("clip", "count"), [("store", 3), ("classroom", 4)])
def test_everyone_of_a_short_clip_has_one_id(
    pose: Pose, shared: Path, clip: str, count: int
) -> None:
    tracked = follow(pose, shared / "data" / "video" / f"{clip}.mp4")
    ids = np.concatenate([people.ids for people in tracked if people.ids is not None])
    assert set(ids[ids > 0].tolist()) == set(range(1, count + 1))
