"""The way each followed person came, and nothing of those who are gone."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import NAMES, PERSON, changed, crowd, grey, noise, person

from posert.postprocess.draw import DrawStyle, Painter
from posert.postprocess.draw.trails import Trails
from posert.types import Image, People

TWO_SECONDS = DrawStyle(trails_s=2.0)
NECK_Y = 76
WIDE = grey(900)


def walked(
    painter: Painter,
    steps: range,
    *,
    fps: float = 30.0,
    speed: int = 5,
    ids: list[int] | None = None,
) -> Image:
    """The last picture of a person who walks to the right."""
    drawn = WIDE
    for i in steps:
        people = crowd(person(dx=speed * i), ids=[1] if ids is None else ids)
        drawn = painter.draw(WIDE, people, i / fps)
    return drawn


def on_the_way(drawn: Image, x: int) -> bool:
    """Something is drawn at the height of the neck, beside the person."""
    return bool(changed(WIDE, drawn)[NECK_Y - 3 : NECK_Y + 4, x - 2 : x + 3].any())


def test_a_trail_leads_to_where_a_person_was_two_seconds_ago() -> None:
    drawn = walked(Painter(PERSON, TWO_SECONDS), range(121))  # now at 100 + 600
    assert all(on_the_way(drawn, x) for x in range(410, 670, 10))
    assert not any(on_the_way(drawn, x) for x in range(10, 390, 10))


@pytest.mark.parametrize("ids", [[0], None])
def test_who_has_no_id_leaves_no_trail(ids: list[int] | None) -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    for i in range(60):
        drawn = painter.draw(WIDE, crowd(person(dx=5 * i), ids=ids), i / 30)
    assert not on_the_way(drawn, 150)


def test_no_trail_is_drawn_unless_asked_for() -> None:
    assert not on_the_way(walked(Painter(PERSON, DrawStyle()), range(60)), 150)


def test_each_person_has_a_trail_of_the_id_s_colour() -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    for i in range(60):
        pair = [person(dx=5 * i), person(dx=790 - 5 * i)]
        order = pair if i % 2 else pair[::-1]  # the order of people changes, ids stay
        drawn = painter.draw(WIDE, crowd(*order, ids=[1, 2] if i % 2 else [2, 1]), i / 30)
    assert drawn[NECK_Y, 200].tolist() != drawn[NECK_Y, 790].tolist()
    assert np.ptp(drawn[NECK_Y, 200].astype(int)) > 100
    assert on_the_way(drawn, 300)
    assert on_the_way(drawn, 700)


def test_a_person_seen_again_at_once_keeps_one_trail() -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    walked(painter, range(30))
    for i in range(30, 36):  # a fifth of a second: missed by the network
        painter.draw(WIDE, crowd(ids=[]), i / 30)
    drawn = walked(painter, range(36, 60))
    assert all(on_the_way(drawn, x) for x in range(110, 380, 10))


def test_no_line_bridges_a_long_absence() -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    walked(painter, range(20))
    for i in range(20, 40):
        painter.draw(WIDE, crowd(ids=[]), i / 30)
    drawn = walked(painter, range(40, 60))
    assert on_the_way(drawn, 150)
    assert not any(on_the_way(drawn, x) for x in range(205, 290, 10))
    assert on_the_way(drawn, 320)


def test_a_slow_source_has_trails_too() -> None:
    drawn = walked(Painter(PERSON, DrawStyle(trails_s=10)), range(6), fps=1, speed=60)
    assert all(on_the_way(drawn, x) for x in range(110, 360, 10))


def test_a_missing_neck_does_not_make_a_trail_jump() -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    for i in range(60):
        missing = ("neck", "left_shoulder", "right_shoulder") if i % 3 else ()
        drawn = painter.draw(WIDE, crowd(person(*missing, dx=5 * i), ids=[1]), i / 30)
    rows = np.nonzero(changed(WIDE, drawn)[:, 110:340].any(axis=1))[0]
    assert rows.min() >= NECK_Y - 4
    assert rows.max() <= NECK_Y + 4


def test_trails_end_where_time_or_size_jumps() -> None:
    for again, time_s in ((WIDE, 0.5), (grey(901), 2.1)):
        painter = Painter(PERSON, TWO_SECONDS)
        walked(painter, range(60))
        drawn = painter.draw(again, crowd(person(dx=300), ids=[1]), time_s)
        fresh = Painter(PERSON, TWO_SECONDS).draw(again, crowd(person(dx=300), ids=[1]), time_s)
        np.testing.assert_array_equal(drawn, fresh)


def kept(trails: Trails) -> tuple[int, int]:
    """How many trails, and how many points in all."""
    held = trails._trails
    return len(held), sum(len(trail) for trail in held.values())


def test_memory_is_bounded() -> None:
    trails = Trails(PERSON, 2.0)
    most = (0, 0)
    for i in range(5000):  # everybody stays for a second, and somebody new comes
        people: People = crowd(person(), person(dx=40), ids=[1 + i // 30, 2 + i // 30])
        trails.add(people, i / 30, (300, 200, 3))
        most = max(most[0], kept(trails)[0]), max(most[1], kept(trails)[1])
    assert most[0] <= 5
    assert most[1] <= 2 * 62
    trails.add(crowd(ids=[]), 5000 / 30 + 2.1, (300, 200, 3))
    assert kept(trails) == (0, 0)


def test_time_that_stands_still_gathers_nothing() -> None:
    trails = Trails(PERSON, 2.0)
    for _ in range(100):
        trails.add(crowd(person(), ids=[1]), 0.0, (300, 200, 3))
    assert kept(trails) == (1, 1)


def test_all_missing_keypoints_leave_no_point() -> None:
    trails = Trails(PERSON, 2.0)
    trails.add(crowd(person(*NAMES), ids=[1]), 0.0, noise().shape)
    assert kept(trails) == (0, 0)


@pytest.mark.parametrize("unseen", [1, 12])  # frames: at once, or after four tenths of a second
def test_no_line_leads_to_another_body(unseen: int) -> None:
    painter = Painter(PERSON, TWO_SECONDS)
    walked(painter, range(20))  # to 195
    for i in range(unseen):
        painter.draw(WIDE, crowd(ids=[]), (20 + i) / 30)
    for i in range(30):  # the id is now that of one who stands 400 pixels on
        people = crowd(person(dx=500 + i), ids=[1])
        drawn = painter.draw(WIDE, people, (20 + unseen + i) / 30)
    assert all(on_the_way(drawn, x) for x in range(110, 190, 10))
    assert not any(on_the_way(drawn, x) for x in range(205, 570, 10))
    assert on_the_way(drawn, 605)


def test_who_runs_keeps_a_trail() -> None:
    drawn = walked(Painter(PERSON, TWO_SECONDS), range(30), speed=20)  # three heights a second
    assert all(on_the_way(drawn, x) for x in range(110, 660, 10))
