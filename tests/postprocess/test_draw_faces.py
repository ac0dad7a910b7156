"""Nobody who was found can be recognised, and what is kept of people is little more than them."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from drawing import NAMES, PERSON, changed, crowd, noise, person

import posert
from posert.errors import ConfigError
from posert.postprocess.draw import DrawStyle, Painter, draw_people, faces
from posert.postprocess.topology import Topology
from posert.types import Float32, Image, People

BLUR = DrawStyle(blur_faces=True)
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
HEAD = np.s_[36:66, 90:111]  # chin to crown of the person in the middle
DEMO = Path(__file__).parents[2] / "demo"


def blurred(people: People, image: Image | None = None) -> Image:
    """The picture, noise if none is given, with these people drawn and their faces blurred."""
    return draw_people(noise() if image is None else image, people, PERSON, BLUR)


def detail(image: Image) -> float:
    """How much neighbouring pixels differ: 85 in noise."""
    return float(np.abs(np.diff(image.astype(int), axis=0)).mean())


def hidden(image: Image, people: People) -> bool:
    """Little is left of the noise that is the head of the person in the middle.

    Without lines: they are drawn after the faces are gone, and would count as detail.
    """
    drawn = draw_people(image, people, Topology("dots", NAMES, (), ()), BLUR)
    plain = draw_people(image, people, Topology("dots", NAMES, (), ()), DrawStyle())
    away = ~changed(image, plain)[HEAD]
    rows = np.abs(np.diff(drawn[HEAD].astype(int), axis=0)).max(axis=2)
    return float(rows[away[1:] & away[:-1]].mean()) < 12


@pytest.mark.parametrize(
    "missing",
    [
        (),
        ("left_ear",),
        ("left_eye", "left_ear"),
        ("left_eye", "right_eye", "nose"),  # from behind
        FACE,
        ("neck", *FACE),
        ("neck", "left_shoulder", *FACE),
        ("neck", "left_hip", "right_hip", *FACE),
        ("left_hip", "right_hip", "left_ankle", "right_ankle", "left_wrist"),
        ("neck", "left_shoulder", "right_shoulder", *FACE),  # hips, a wrist and ankles are left
    ],
    ids=lambda missing: "without " + (" ".join(missing) or "none"),
)
def test_a_head_is_hidden_whatever_was_found(missing: tuple[str, ...]) -> None:
    assert hidden(noise(), crowd(person(*missing)))


@pytest.mark.parametrize("score", [0.01, 0.9, float("nan")])
def test_the_uncertain_are_hidden_too(score: float) -> None:
    assert hidden(noise(), crowd(person(score=score)))


def test_a_misplaced_face_does_not_uncover_the_true_one() -> None:
    keypoints = person()
    keypoints[[NAMES.index(name) for name in FACE], 1] += 60  # on the chest
    assert hidden(noise(), crowd(keypoints))


def test_one_wrong_keypoint_does_not_hide_half_the_picture() -> None:
    keypoints = person()
    keypoints[NAMES.index("left_eye"), :2] = (10, 290)
    image = noise()
    plain = changed(image, draw_people(image, crowd(keypoints), PERSON, DrawStyle()))
    assert hidden(image, crowd(keypoints))
    right, wrong = (
        changed(image, blurred(crowd(k), image)) & ~plain for k in (person(), keypoints)
    )
    assert right.mean() < 0.12
    assert wrong[:, 150:].mean() < 0.6  # the far side is seen


def test_what_is_not_a_head_is_left() -> None:
    image = noise()
    plain = changed(image, draw_people(image, crowd(person()), PERSON, DrawStyle()))
    touched = changed(image, blurred(crowd(person()))) & ~plain
    assert touched[HEAD].any()
    assert not touched[100:].any()
    assert not touched[:, :60].any()


def test_heads_at_the_border_are_hidden() -> None:
    image = noise()
    for dx, head in ((-95, np.s_[36:66, 0:16]), (95, np.s_[36:66, 186:200])):
        assert detail(blurred(crowd(person(dx=dx)), image)[head]) < detail(image[head]) / 2


def test_no_keypoints_of_a_head_are_refused() -> None:
    hand = Topology("hand", ("wrist", "thumb", "index"), ((0, 1), (0, 2)), ((0, 1), (2, 3)))
    with pytest.raises(ConfigError, match="'hand' tell nothing of heads: got wrist, thumb, index"):
        Painter(hand, BLUR)


def test_a_head_just_lost_stays_hidden_half_a_second() -> None:
    painter, image = Painter(PERSON, BLUR), noise()
    painter.draw(image, crowd(person()), 10.0)
    for time_s, stays in ((10.04, True), (10.4, True), (10.6, False)):
        after = painter.draw(image, crowd(), time_s)
        assert (detail(after[HEAD]) < 12) == stays, time_s


def test_a_head_lost_in_a_frame_of_the_same_time_stays_hidden() -> None:
    painter, image = Painter(PERSON, BLUR), noise()
    painter.draw(image, crowd(person()), 10.0)
    for _ in range(2):
        assert detail(painter.draw(image, crowd(), 10.0)[HEAD]) < 12


def test_a_clock_that_stands_still_does_not_hide_more_and_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faces, "_MOST", 3)
    painter, image = Painter(PERSON, BLUR), noise(1200)
    for i in range(9):
        after = painter.draw(image, crowd(person(dx=100 * i)), 10.0)
    ends = [np.s_[36:66, 90 + 100 * i : 111 + 100 * i] for i in range(9)]
    still = [detail(after[head]) < detail(image[head]) / 2 for head in ends]
    assert still == [False] * 6 + [True] * 3


def test_a_head_that_moved_is_hidden_where_it_is_only() -> None:
    painter, image = Painter(PERSON, BLUR), noise(600)
    for i in range(30):  # a second, faster than anybody walks
        painter.draw(image, crowd(person(dx=10 * i)), i / 30)
    people = crowd(person(dx=300))
    after = painter.draw(image, people, 1.0)
    alone = Painter(PERSON, BLUR).draw(image, people, 1.0)
    np.testing.assert_array_equal(after, alone)


def test_a_jump_back_in_time_hides_nothing_old() -> None:
    painter, image = Painter(PERSON, BLUR), noise()
    painter.draw(image, crowd(person()), 10.0)
    np.testing.assert_array_equal(painter.draw(image, crowd(), 9.9), image)


def inside(canvas: Image, keypoints: Float32) -> list[bool]:
    """Which of the keypoints lie where the picture is not black."""
    return [bool(canvas[round(y), round(x)].any()) for x, y in keypoints[:, :2].tolist()]


def test_people_are_kept_and_little_else() -> None:
    image = np.full((300, 200, 3), 77, np.uint8)
    painted = draw_people(image, crowd(person()), PERSON, DrawStyle(background="people"))
    assert all(inside(painted, person()))
    kept = np.invert(changed(image, painted))
    assert (painted.max(axis=2)[100:120, 85:115] > 0).all()  # the chest
    assert kept[30:33, 100].all()  # the forehead
    assert not painted[:, :40].any()
    assert not painted[:, 175:].any()
    assert not painted[:12].any()
    assert 0.1 < kept.mean() < 0.3


def test_nobody_is_a_black_picture() -> None:
    for background in ("people", "black"):
        style = DrawStyle(background=background)
        assert not draw_people(noise(), crowd(), PERSON, style).any()


def test_black_shows_skeletons_alone() -> None:
    on_black = draw_people(noise(), crowd(person()), PERSON, DrawStyle(background="black"))
    expected = draw_people(np.zeros_like(noise()), crowd(person()), PERSON, DrawStyle())
    np.testing.assert_array_equal(on_black, expected)


def test_kept_people_have_no_faces_either() -> None:
    style = DrawStyle(background="people", blur_faces=True)
    both = draw_people(noise(), crowd(person()), PERSON, style)
    seen = both.any(axis=2)
    np.testing.assert_array_equal(both[seen], blurred(crowd(person()))[seen])


def test_true_faces_of_the_demo_clip_are_hidden() -> None:
    """Of people whom the network finds: all the points of their true faces, and eyes above all."""
    truth = json.loads((DEMO / "walkers.truth.json").read_text())
    pose = posert.Pose("pose-small")
    eyes = [truth["keypoints"].index(name) for name in ("left_eye", "right_eye", "nose")]
    faces = seen = 0
    with av.open(str(DEMO / "walkers.mp4")) as clip:
        for i, frame in enumerate(clip.decode(video=0)):
            if i % 30:
                continue
            image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            people = pose(image)
            bare = draw_people(image, people, pose.topology, DrawStyle(line_width=1e-3))
            after = draw_people(
                image, people, pose.topology, DrawStyle(line_width=1e-3, blur_faces=True)
            )
            touched = changed(bare, after)
            for walker in truth["frames"][i]:
                points = np.array(walker["keypoints"])[eyes]
                if (points[:, 2] < 2).any() or not found(people, points):
                    continue
                faces += 1
                patches = [
                    touched[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
                    for x, y, _ in points
                ]
                seen += not all(patch.any() for patch in patches)
    assert faces >= 20
    assert seen == 0


def found(people: People, points: Float32) -> bool:
    """A person's face was found near these points."""
    if not len(people):
        return False
    centre = points[:, :2].mean(axis=0)
    middles = np.nanmean(people.keypoints[:, :, 0], axis=1)
    tops = np.nanmin(people.keypoints[:, :, 1], axis=1)
    return bool((np.hypot(middles - centre[0], tops - centre[1]) < 25).any())
