"""Fixtures, a plugin of each test module here: an empty engine cache, and pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from making.networks import dots_network
from making.pictures import nose_of_frame, picture

from posert.types import Image


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the engine cache, not made yet."""
    monkeypatch.setenv("POSERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def judged_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines are judged with people that the dots network finds, in place of the demo clip."""

    def people(count: int) -> list[Image]:
        return [picture(noses=[nose_of_frame(index)]) for index in range(count)]

    monkeypatch.setattr("posert.building.build.shipped_pictures", people)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six pictures with a person each, in another place of each."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), picture(noses=[nose_of_frame(index)]))
    return folder


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the dots network, known by its name ``made``."""
    monkeypatch.setenv("POSERT_MODELS", str(tmp_path / "models"))
    return dots_network(tmp_path / "models" / "made")
