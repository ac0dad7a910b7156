"""Words on pictures can be read: at any size, on any ground, and none hides another."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import NAMES, PERSON, changed, crowd, grey, noise, person

from posert.postprocess.draw import DrawStyle, draw_people
from posert.postprocess.draw.parts import Part, part
from posert.postprocess.draw.text import Lettering, Places


def height_of_letters(size: tuple[int, int], ground: int = 90) -> int:
    width, height = size
    canvas = grey(width, height, ground)
    Lettering.of(canvas).write(canvas, "17", width / 2, height / 2, (255, 255, 255))
    rows = np.nonzero((canvas.min(axis=2) > 200).any(axis=1))[0]
    return int(np.ptp(rows)) + 1 if len(rows) else 0


@pytest.mark.parametrize(
    ("size", "least", "most"),
    [((640, 360), 8, 18), ((1920, 1080), 16, 40), ((1080, 1920), 16, 40), ((3840, 2160), 32, 80)],
)
def test_letters_grow_with_the_picture(size: tuple[int, int], least: int, most: int) -> None:
    assert least <= height_of_letters(size) <= most


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_letters_stand_out_from_any_ground(ground: int) -> None:
    canvas = grey(200, 100, ground)
    Lettering.of(canvas).write(canvas, "17", 50, 40, (255, 255, 255))
    word = canvas[30:70, 40:90]
    assert (word > 240).any()  # letters
    assert (word < 16).any()  # their outline


def test_no_letter_is_cut_off_at_the_border() -> None:
    plain = grey(200, 100)
    letters = Lettering.of(plain)
    inside = plain.copy()
    letters.write(inside, "17", 80, 40, (255, 255, 255))
    wanted = changed(plain, inside).sum()
    for left, top in ((-50, 40), (190, 40), (80, -30), (80, 98), (-9, 99)):
        canvas = plain.copy()
        letters.write(canvas, "17", left, top, (255, 255, 255))
        assert changed(plain, canvas).sum() == wanted


def test_a_place_is_taken_once() -> None:
    places = Places()
    assert places.take_if_free((0, 0, 10, 10))
    assert not places.take_if_free((9, 9, 20, 20))
    assert places.take_if_free((10, 0, 20, 10))


def test_names_stand_beside_their_keypoints() -> None:
    image, sole = grey(1000, 700), person(*NAMES[:-1], scale=2)  # the right ankle alone
    plain, named = (
        draw_people(image, crowd(sole), PERSON, DrawStyle(names=names)) for names in (False, True)
    )
    rows, columns = np.nonzero(changed(plain, named))
    x, y = 2 * 88, 2 * 230
    assert x < columns.min() < x + 12
    assert rows.min() < y < rows.max()
    assert columns.max() < x + 150


def test_missing_keypoints_have_no_name() -> None:
    image = noise(400)
    gone = draw_people(image, crowd(person(*NAMES)), PERSON, DrawStyle(names=True, boxes=True))
    np.testing.assert_array_equal(gone, image)


@pytest.mark.parametrize(
    ("keypoint", "expected"),
    [
        ("left_eye", Part("eye", "left")),
        ("Right Ear", Part("ear", "right")),
        ("leftShoulder", Part("shoulder", "left")),
        ("RElbow", Part("elbow", "right")),
        ("l_hip", Part("hip", "left")),
        ("left_eye_inner", Part("eye", "left")),
        ("head_top", Part("head", "")),
        ("MidHip", Part("hip", "")),
        ("right_forearm", Part("forearm", "right")),  # no ear
        ("neck", Part("neck", "")),
        ("", Part("", "")),
        ("17", Part("", "")),
    ],
)
def test_parts_are_told_by_names(keypoint: str, expected: Part) -> None:
    assert part(keypoint) == expected
