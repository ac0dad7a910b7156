"""People on a wall: drawn on what a tile shows, unless the same picture is looked at elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from making.walls import Kept

from posert.jobs import Shared, Work, make_job
from posert.postprocess.draw import DrawStyle, draw_people
from posert.postprocess.topology import Topology
from posert.runtime.sinks.contact_sheet import ContactSheet
from posert.runtime.sources.source import Reading
from posert.runtime.stream import Files, Tally
from posert.runtime.wall import Wall
from posert.runtime.wall.grid import grid
from posert.settings import RunSettings, SourceSettings
from posert.types import Frame, Image, People, SourceInfo

BODY = Topology("body", ("neck", "left_hip"), ((0, 1),), ((0, 1),))
WALL = (1920, 1080)
HD = SourceInfo("clip", 1920, 1080, Fraction(30), Fraction(1, 30))
pytestmark = pytest.mark.usefixtures("no_threads_left")


def somebody(width: int) -> People:
    """In the middle of a picture of 16:9, a third as tall as it."""
    height = 9 * width // 16
    keypoints = [[(width / 2, height / 3, 0.9), (width / 2, 2 * height / 3, 0.9)]]
    return People(np.array(keypoints, np.float32), np.ones(1, np.float32), ids=np.array([17]))


def ground(width: int) -> Image:
    return np.full((9 * width // 16, width, 3), 90, np.uint8)


@pytest.fixture
def nine() -> Any:
    wall = Wall(Kept().open, [f"{i}" for i in range(9)], WALL, live=False)
    yield wall
    wall.close()


Opened = Callable[..., Files]


@pytest.fixture
def opened(nine: Wall, tmp_path: Path) -> Opened:
    def files(info: SourceInfo = HD, output: str = "", **shared: Any) -> Files:
        settings = shared.pop("settings", RunSettings(boxes=True, ids=True))
        made = Shared(settings, BODY, Reading(), threading.Event(), wall=nine, **shared)
        own = tmp_path / output if output else None
        job = make_job(Work(0, SourceSettings("clip"), Tally("clip"), own), made)
        assert job.files is not None
        return job.files(SimpleNamespace(info=info))

    return files


def test_words_and_lines_on_a_wall_of_nine_are_as_on_a_small_picture(opened: Opened) -> None:
    drawn = opened().draw(ground(1920), somebody(1920), 0.0)
    width, height = drawn.shape[1], drawn.shape[0]
    across, down = grid(9, *WALL)[0].picture
    assert (width, height) == (min(across, round(down * 16 / 9)), down)
    small = np.full_like(drawn, 90)
    people = somebody(width)
    expected = draw_people(small, people, BODY, DrawStyle(boxes=True, ids=True))
    ink = (expected != small).any(axis=2).sum()
    assert (drawn != small).any(axis=2).sum() == pytest.approx(ink, rel=0.1)
    elsewhere = np.abs(drawn.astype(int) - expected).max(axis=2) > 60
    assert elsewhere.sum() < ink / 2  # a box or a word is a pixel off


def test_a_picture_that_goes_elsewhere_too_is_drawn_at_its_own_size(
    opened: Opened, tmp_path: Path
) -> None:
    files = opened(output="own.mp4")
    assert files.draw(ground(1920), somebody(1920), 0.0).shape == (1080, 1920, 3)
    files.close()
    sheet = ContactSheet(tmp_path / "sheet.jpg")
    assert opened(sheet=sheet).draw(ground(1920), somebody(1920), 0.0).shape == (1080, 1920, 3)


def test_a_small_picture_is_not_made_larger_to_be_drawn_on(opened: Opened) -> None:
    assert opened().draw(ground(320), somebody(320), 0.0).shape == (180, 320, 3)


@pytest.mark.parametrize("pixel", [Fraction(64, 45), Fraction(1, 2)])
def test_pixels_that_are_not_square_lose_nothing(opened: Opened, pixel: Fraction) -> None:
    info = SourceInfo("dvd", 1440, 1152, Fraction(25), Fraction(1, 25), sample_aspect_ratio=pixel)
    image = np.zeros((1152, 1440, 3), np.uint8)
    drawn = opened(info).draw(image, somebody(1440), 0.0)
    across, down = grid(9, *WALL)[0].picture
    scale = min(across / (1440 * float(pixel)), down / 1152)
    assert drawn.shape[1] >= min(1440, round(1440 * float(pixel) * scale) - 1)
    assert drawn.shape[0] >= round(1152 * scale) - 1
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(1440 / 1152, rel=0.01)


@pytest.mark.parametrize(("every", "of_wall"), [(1, 30), (5, 6), (100, 1)])
def test_a_wall_of_each_how_manieth_frame_has_as_many_frames(every: int, of_wall: int) -> None:
    kept = Kept()
    wall = Wall(kept.open, ["a"], (384, 272), live=False)
    shared = Shared(RunSettings(every=every), BODY, Reading(), threading.Event(), wall=wall)
    job = make_job(Work(0, SourceSettings("clip"), Tally("clip"), None), shared)
    assert job.files is not None
    show = job.files(SimpleNamespace(info=HD)).show
    assert show is not None
    for i in range(6):
        show(ground(160), Frame(ground(160), every * i, every * i, every * i / 30), 0.01)
    job.ended(None)
    wall.close()
    assert kept.info is not None
    assert kept.info.rate == of_wall
    last = kept.written[-1][1]
    assert float(last.time_s) == pytest.approx(5 * every / 30, abs=1.0 if every > 30 else 0.001)
    assert len(kept.written) == 6 if every < 30 else len(kept.written) <= 18
