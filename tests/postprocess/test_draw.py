"""What a viewer sees of people who are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import BODY, NAMES, PERSON, changed, crowd, grey, noise, person

from posert.postprocess.draw import DrawStyle, Painter, draw_people
from posert.types import People

ALL = DrawStyle(
    colours="ids", boxes=True, ids=True, trails_s=2, names=True, fade=True, blur_faces=True
)
EVERY = [
    DrawStyle(),
    DrawStyle(colours="trt_pose"),
    DrawStyle(colours="coco", line_width=3),
    DrawStyle(boxes=True, ids=True),
    DrawStyle(names=True, fade=True),
    DrawStyle(blur_faces=True, background="people"),
    DrawStyle(background="black"),
    ALL,
]


@pytest.mark.parametrize("style", EVERY, ids=repr)
def test_the_picture_given_is_left_as_it_is(style: DrawStyle) -> None:
    image, people = noise(), crowd(person(), ids=[1])
    before, keypoints = image.copy(), people.keypoints.copy()
    drawn = draw_people(image, people, PERSON, style)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(people.keypoints, keypoints)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert not np.shares_memory(drawn, image)
    assert changed(before, drawn).any()


@pytest.mark.parametrize("style", EVERY, ids=repr)
@pytest.mark.parametrize(
    "people",
    [
        crowd(),
        crowd(ids=[]),
        crowd(person(*NAMES)),
        crowd(person(*NAMES), person(), ids=[0, 7]),
        crowd(person(*NAMES[1:])),
        crowd(person(dx=-150), person(dx=150)),
        crowd(person(dx=-9000), ids=[3]),
        crowd(person(scale=50)),
        crowd(person(scale=0.01)),
        crowd(person(score=float("nan"))),
    ],
    ids=["none", "none followed", "all missing", "one missing", "a nose", "half outside",
         "far outside", "huge", "tiny", "no scores"],
)  # fmt: skip
def test_anybody_can_be_drawn(style: DrawStyle, people: People) -> None:
    for image in (grey(), grey(5, 3), grey(1, 1)):
        painter = Painter(PERSON, style)
        for time_s in (0.0, 0.04, 0.04, 9.0, 1.0):
            assert painter.draw(image, people, time_s).shape == image.shape


def test_nobody_changes_nothing() -> None:
    for style in EVERY:
        if style.background == "picture":
            np.testing.assert_array_equal(draw_people(noise(), crowd(), PERSON, style), noise())


@pytest.mark.parametrize("colours", ["limbs", "trt_pose", "coco", "ids"])
def test_no_line_leads_to_a_missing_keypoint(colours: str) -> None:
    people = crowd(person("left_wrist", "right_ankle"))
    drawn = draw_people(grey(), people, PERSON, DrawStyle(colours=colours, boxes=True))  # type: ignore[arg-type]
    touched = changed(grey(), drawn)
    assert touched[76:78, 85:115].all()  # the shoulders
    assert not touched[140:229, 80:100].any()  # the right shin
    assert not touched[90:140, 124:129].any()  # the left arm
    assert not touched[:20, :20].any()  # the corner


def test_keypoints_are_not_rounded_to_whole_pixels() -> None:
    a, b = (draw_people(grey(), crowd(person(dx=dx)), PERSON, DrawStyle()) for dx in (0.0, 0.4))
    assert changed(a, b).any()


def colour_at(x: float, y: float, style: DrawStyle, people: People) -> list[int]:
    drawn = draw_people(grey(), people, PERSON, style)
    colour: list[int] = drawn[round(y), round(x)].tolist()
    return colour


def test_trt_pose_draws_green() -> None:
    assert colour_at(112, 180, DrawStyle("trt_pose"), crowd(person())) == [0, 255, 0]


def test_coco_tells_left_from_right() -> None:
    coco, people = DrawStyle("coco"), crowd(person())
    left, right = (colour_at(x, 180, coco, people) for x in (112, 88))
    torso = colour_at(90, 76, coco, people)
    assert left == [0, 255, 0]
    assert right == [0, 128, 255]
    assert torso == [255, 153, 51]


def test_an_id_keeps_its_colour_and_others_have_another() -> None:
    style, second = DrawStyle("ids"), person(dx=60)
    alone = colour_at(112, 180, style, crowd(person(), ids=[7]))
    later = colour_at(112, 180, style, crowd(second, person(), ids=[3, 7]))
    other = colour_at(112, 180, style, crowd(person(), ids=[3]))
    unsure = colour_at(112, 180, style, crowd(person(), ids=[0]))
    assert alone == later
    assert len({tuple(c) for c in (alone, other, unsure)}) == 3
    assert max(unsure) - min(unsure) < 10  # grey


def test_who_is_not_followed_has_a_colour_by_position() -> None:
    people = crowd(person(), person(dx=60))
    first, second = (colour_at(112 + dx, 180, DrawStyle("ids"), people) for dx in (0, 60))
    assert first != second


def test_only_known_ids_are_written() -> None:
    plain = draw_people(grey(), crowd(person(), ids=[4]), PERSON, DrawStyle())
    for ids, written in (([4], True), ([0], False), (None, False)):
        drawn = draw_people(grey(), crowd(person(), ids=ids), PERSON, DrawStyle(ids=True))
        assert changed(plain, drawn).any() == written, ids
        assert not changed(plain, drawn)[60:].any()  # it stands above the head


def test_less_certain_is_fainter() -> None:
    def strength(score: float, fade: bool) -> float:
        people = crowd(person(score=score))
        drawn = draw_people(grey(), people, PERSON, DrawStyle("trt_pose", fade=fade))
        return float(np.abs(drawn[180, 112].astype(int) - 90).max())

    assert strength(0.9, fade=True) == strength(0.9, fade=False) == strength(0.05, fade=False)
    assert strength(0.9, fade=True) > strength(0.3, fade=True) > strength(0.05, fade=True) > 10


def test_the_uncertain_end_of_a_link_makes_it_faint() -> None:
    keypoints = person()
    keypoints[NAMES.index("left_ankle"), 2] = 0.1
    style = DrawStyle("trt_pose", fade=True)
    drawn = draw_people(grey(), crowd(keypoints), PERSON, style)
    left, right = (int(drawn[180, x, 1]) - 90 for x in (112, 88))
    assert 10 < left < right / 2


def test_a_wider_line_is_wider() -> None:
    widths = []
    for factor in (1.0, 2.0, 4.0):
        drawn = draw_people(grey(), crowd(person()), PERSON, DrawStyle(line_width=factor))
        widths.append(int(changed(grey(), drawn)[180, 100:130].sum()))
    assert widths[0] < widths[1] < widths[2]


def test_the_box_is_around_all_keypoints() -> None:
    plain, boxed = (
        draw_people(grey(), crowd(person()), PERSON, DrawStyle(boxes=boxes))
        for boxes in (False, True)
    )
    rows, columns = np.nonzero(changed(plain, boxed))
    xs, ys = zip(*BODY.values(), strict=True)
    assert columns.min() < min(xs) < max(xs) < columns.max()
    assert rows.min() < min(ys) < max(ys) < rows.max()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"line_width": 0.0}, "line_width is 0.0: expected above 0"),
        ({"line_width": float("nan")}, "line_width is nan"),
        ({"trails_s": -1.0}, "trails_s is -1.0: expected 0 to 60"),
        ({"trails_s": float("nan")}, "trails_s is nan"),
        ({"trails_s": 61.0}, "trails_s is 61.0"),
    ],
)
def test_a_style_checks_its_numbers(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DrawStyle(**wrong)  # type: ignore[arg-type]
