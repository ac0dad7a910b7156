"""Pictures that are looked at small are made small first: words and lines keep their size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from drawing import BODY, NAMES, PERSON, changed, crowd, grey, noise, person

from posert.postprocess.draw import DrawStyle, Painter
from posert.types import Image

ALL = DrawStyle("ids", boxes=True, ids=True, trails_s=1.0)


def drawn(width: int, room: tuple[float, float] | None, style: DrawStyle = ALL) -> Image:
    """A person two thirds as tall as a picture of 16:9."""
    height = 9 * width // 16
    people = crowd(person(dx=100, scale=height / 300), ids=[17])
    return Painter(PERSON, style, room).draw(grey(width, height), people)


def test_words_and_lines_are_as_on_a_small_picture() -> None:
    small = changed(grey(640, 360), drawn(640, None))
    shrunk = changed(grey(640, 360), drawn(1920, (640, 360)))
    assert (small != shrunk).mean() < 0.002  # a rounding here and there
    assert small.mean() > 0.01


def test_a_picture_is_never_made_larger() -> None:
    np.testing.assert_array_equal(drawn(320, (640, 360)), drawn(320, None))


@pytest.mark.parametrize("room", [(639.5, 338.0), (200.0, 1000.0), (960.0, 540.0)])
def test_the_shape_is_kept_within_the_room(room: tuple[float, float]) -> None:
    height, width = drawn(1920, room, DrawStyle()).shape[:2]
    assert width <= round(room[0])
    assert height <= round(room[1])
    assert width == round(room[0]) or height == round(room[1])
    assert width / height == pytest.approx(16 / 9, rel=0.01)


def test_keypoints_are_where_the_picture_shows_them() -> None:
    marked = grey(1600, 900, 0)
    x, y = 800, 450
    marked[y - 8 : y + 9, x - 8 : x + 9] = 255  # a white square around a keypoint
    sole = np.full((len(NAMES), 3), np.nan, np.float32)
    sole[0] = (x, y, 0.9)
    plain = Painter(PERSON, DrawStyle(), (400, 225)).draw(marked, crowd())
    dotted = Painter(PERSON, DrawStyle(), (400, 225)).draw(0 * marked, crowd(sole))
    for image in (plain, dotted):
        rows, columns = np.nonzero(image.max(axis=2) > 100)
        assert columns.mean() == pytest.approx((x + 0.5) / 4 - 0.5, abs=0.6)
        assert rows.mean() == pytest.approx((y + 0.5) / 4 - 0.5, abs=0.6)


def test_people_and_picture_are_left_as_they_are() -> None:
    image, people = noise(400), crowd(person())
    before = image.copy(), people.keypoints.copy()
    Painter(PERSON, DrawStyle(blur_faces=True), (100, 100)).draw(image, people)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(people.keypoints, before[1])


@pytest.mark.parametrize("background", ["picture", "people"])
def test_a_face_is_as_unrecognisable_on_a_small_picture(background: str) -> None:
    checks = (np.indices((90, 90)) // 8).sum(axis=0) % 2 * 255  # coarser than the small pixels
    x, y = (round(3 * value) for value in BODY["nose"])

    def face(checks: npt.NDArray[np.int64], *, blur: bool) -> npt.NDArray[np.int64]:
        image = grey(1600, 900, 100)
        image[y - 45 : y + 45, x - 45 : x + 45] = checks[:, :, None]
        style = DrawStyle(blur_faces=blur, background=background)  # type: ignore[arg-type]
        return Painter(PERSON, style, (400, 225)).draw(image, crowd(person(scale=3))).astype(int)

    def difference(*, blur: bool) -> int:
        """Between two faces that differ in what is fine alone."""
        return int(np.abs(face(checks, blur=blur) - face(255 - checks, blur=blur)).max())

    assert difference(blur=False) > 200
    assert difference(blur=True) < 70
