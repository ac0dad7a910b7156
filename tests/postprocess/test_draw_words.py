"""Words on pictures can be read: at any size, on any ground, and none hides another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from drawing import NAMES, PERSON, changed, crowd, grey, noise, person

from posert.postprocess.draw import DrawStyle, draw_people
from posert.postprocess.draw.colours import Colour
from posert.postprocess.draw.parts import Part, part
from posert.postprocess.draw.text import Box, Lettering, Places
from posert.types import Image


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


@pytest.mark.parametrize("side", ["bottom", "top", "left", "right"])
def test_names_that_are_moved_into_the_picture_do_not_stand_on_each_other(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = {"bottom": (200, 298), "top": (200, 1), "left": (1, 150), "right": (398, 150)}[side]
    along = np.array([side in ("bottom", "top"), side in ("left", "right"), 0])
    keypoints = np.full((1, len(NAMES), 3), np.nan, np.float32)
    keypoints[0, 5:11] = (x, y, 0.9) + 12 * np.outer(np.arange(6), along)
    written: list[Box] = []
    write = Lettering.write

    def noted(
        self: Lettering, canvas: Image, text: str, left: float, top: float, colour: Colour
    ) -> None:
        before = canvas.copy()
        write(self, canvas, text, left, top, colour)
        rows, columns = np.nonzero((before != canvas).any(axis=2))
        written.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))

    monkeypatch.setattr(Lettering, "write", noted)
    draw_people(grey(400, 300), crowd(*keypoints), PERSON, DrawStyle(names=True))
    assert len(written) > 1
    assert not any(overlap(a, b) for a, b in combinations(written, 2))
    assert not overlap((x, y, x + 1, y + 1), written[0])


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
