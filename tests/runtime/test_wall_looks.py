"""What one reads on a wall: tiles of equal size that cover it, and labels that fit them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from making.pictures import flat

from posert.runtime.wall.face import Face, State, paint
from posert.runtime.wall.grid import Box, grid
from posert.types import Image


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (4, 2, 2), (7, 3, 3), (16, 4, 4), (64, 8, 8)],
)
def test_as_many_columns_as_rows(count: int, columns: int, rows: int) -> None:
    boxes = grid(count, 1920, 1080)
    assert len({box.x for box in boxes}) == columns
    assert len({box.y for box in boxes}) == rows


def test_a_wall_on_its_side_has_one_column() -> None:
    assert len({box.x for box in grid(3, 1080, 1920)}) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 40, 64, 300])
@pytest.mark.parametrize("size", [(1920, 1080), (641, 363), (320, 180), (3840, 2160)])
def test_tiles_lie_side_by_side(count: int, size: tuple[int, int]) -> None:
    boxes = grid(count, *size)
    assert len(boxes) == count
    for box in boxes:
        assert 0 <= box.x < box.x + box.width <= size[0]
        assert 0 <= box.y < box.y + box.height <= size[1]
        assert min(box.picture) >= 1
    for a, b in combinations(boxes, 2):
        assert (
            a.x + a.width <= b.x
            or b.x + b.width <= a.x
            or a.y + a.height <= b.y
            or (b.y + b.height <= a.y)
        )


def painted(box: Box, face: Face) -> Image:
    tile = np.full((box.height, box.width, 3), 77, np.uint8)
    paint(tile, box.bar, face)
    return tile


def ink(label: Image) -> Image:
    """Where a label has letters."""
    return np.asarray((label.max(axis=2) > 150) * 255, np.uint8)


@pytest.mark.parametrize("count", [1, 4, 16, 64])
def test_the_name_is_on_the_left_and_the_numbers_on_the_right(count: int) -> None:
    (box, *_) = grid(count, 1920, 1080)
    face = Face(
        "camera-17", State.RUNNING, "25.0 fps  120 ms", picture=flat(*box.picture, (9, 9, 9))
    )
    label = ink(painted(box, face)[: box.bar])
    columns = np.flatnonzero(label.any(axis=0))
    gaps = np.diff(columns)
    assert gaps.max() > 0.15 * box.width  # name, then nothing, then numbers
    assert columns[0] < 0.1 * box.width
    assert columns[-1] > 0.9 * box.width
    rows = np.flatnonzero(label.any(axis=1))
    assert np.ptp(rows) >= 7  # pixels: smaller letters are not read
    assert rows[0] > 0
    assert rows[-1] < box.bar - 1


@pytest.mark.parametrize("width", [60, 240, 960])
def test_a_name_that_is_too_long_does_not_touch_the_numbers(width: int) -> None:
    box = Box(0, 0, width, 9 * width // 16)
    faces = [Face(name, State.RUNNING, "25 fps") for name in ("", "m" * 200)]
    none, long = (ink(painted(box, face)[: box.bar]) for face in faces)
    first = np.flatnonzero(none.any(axis=0))[0]
    assert (long[:, first:] == none[:, first:]).all()
    assert not long[:, first - max(2, box.bar // 8) : first].any()


def test_the_end_of_a_long_path_is_read() -> None:
    (box, *_) = grid(64, 1920, 1080)
    folder = "/srv/recordings/2026-11-21/north building, second floor/"

    def label(name: str) -> Image:
        return painted(box, Face(name, State.RUNNING, "25.0 fps  120 ms"))[: box.bar]

    assert (label(f"{folder}a-17.mp4") != label(f"{folder}a-18.mp4")).any()
    assert (label(f"{folder}a-17.mp4") == label(f"/x{folder}a-17.mp4")).all()
    name = folder.replace("/", " ")  # no path: its start is read
    assert (label(f"{name}a-17") == label(f"{name}a-18")).all()
    assert (label(f"1{name}") != label(f"2{name}")).any()


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (24, 16), (240, 135), (960, 540)])
def test_any_state_is_painted_into_any_tile(state: State, size: tuple[int, int]) -> None:
    box = Box(0, 0, *size)
    picture = flat(*box.picture, (0, 0, 200))
    for name, reason in (("", ""), ("Küche 大", "ä reason " * 40)):
        tile = painted(box, Face(name, state, "1 fps", reason, picture))
        below = tile[box.bar :]
        alive = state is State.RUNNING
        assert bool((below == picture).all()) is alive
        assert alive or (below == below[:, :, :1]).all()


def test_the_states_differ_at_a_glance() -> None:
    box = Box(0, 0, 240, 135)
    bars = {tuple(painted(box, Face("", state))[0, 120].tolist()) for state in State}
    assert len(bars) >= 4


def test_a_reason_is_written_in_lines_that_fit() -> None:
    box = Box(0, 0, 240, 135)
    reason = "clip.mp4: cannot be read: got Invalid data found; check that it is a video"
    below = painted(box, Face("a", State.FAILED, reason=reason))[box.bar :]
    written = np.asarray((below > 100).any(axis=2))
    assert not written[:, :2].any()
    assert not written[:, -2:].any()
    lines = np.count_nonzero(np.diff(written.any(axis=1).astype(int)) == 1)
    assert lines >= 3


@pytest.mark.parametrize("count", [2, 4, 9, 64])
@pytest.mark.parametrize("state", [State.STALLED, State.ENDED, State.FAILED])
def test_a_state_is_read_on_any_picture_and_not_across_it(count: int, state: State) -> None:
    (box, *_) = grid(count, 1920, 1080)
    bright = flat(*box.picture, (255, 255, 255))
    below = painted(box, Face("a", state, picture=bright))[box.bar :, :, 0].astype(int)
    picture = below[0, 0]
    words = (below > picture + 80).any(axis=1)
    rows = np.flatnonzero(words)
    assert rows[0] > 0.8 * len(below)  # below most of the picture
    ground = below[rows[0] - 1 : rows[-1] + 2]
    assert np.median(ground) == 0
    assert ground.max() > 200
    assert (below[: round(0.8 * len(below))] == picture).all()


def test_letters_of_two_tiles_and_of_nine_are_of_one_weight() -> None:
    """Of their area ink covers about the same share."""
    shares = []
    for count in (2, 4, 9):
        (box, *_) = grid(count, 1920, 1080)
        label = ink(painted(box, Face("mmmmmmmm", State.RUNNING))[: box.bar])
        rows, columns = np.nonzero(label)
        inside = label[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        shares.append((inside > 0).mean())
    assert max(shares) < 1.5 * min(shares)
