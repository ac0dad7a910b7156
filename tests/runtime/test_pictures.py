"""Pictures of all kinds, as files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from making.clips import quadrants
from making.networks import read_lines
from making.pictures import flat, picture

import posert
from posert.errors import InputError, OutputError
from posert.runtime.sources.pictures import as_bgr, read_image
from posert.types import Image

ORIENTATIONS = {  # EXIF's number -> what a viewer does with the stored picture
    2: lambda image: image[:, ::-1],
    3: lambda image: np.rot90(image, 2),
    4: lambda image: image[::-1],
    6: lambda image: np.rot90(image, 3),
    8: lambda image: np.rot90(image, 1),
}


def write(path: Path, image: npt.NDArray[np.integer[Any]]) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def with_orientation(path: Path, orientation: int) -> Path:
    """Puts an EXIF block into a JPEG, as a camera held another way does."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 1) + entry + b"\x00\x00\x00\x00"
    block = b"Exif\x00\x00" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    return path


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_lossless_formats_are_read_exactly(tmp_path: Path, ending: str) -> None:
    if ending == ".webp":
        parameters = [cv2.IMWRITE_WEBP_QUALITY, 101]
        assert cv2.imwrite(str(tmp_path / "p.webp"), quadrants(), parameters)
    else:
        write(tmp_path / f"p{ending}", quadrants())
    np.testing.assert_array_equal(read_image(tmp_path / f"p{ending}"), quadrants())


def test_grey_alpha_and_16_bit_become_8_bit_bgr(tmp_path: Path) -> None:
    image = quadrants()
    grey = image[:, :, 1].copy()
    np.testing.assert_array_equal(
        read_image(write(tmp_path / "g.png", grey)), np.repeat(grey[:, :, None], 3, 2)
    )
    alpha = np.dstack([image, np.full(grey.shape, 9, np.uint8)])
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.png", alpha)), image)
    deep = image.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_image(write(tmp_path / "d.png", deep)), image)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    path = with_orientation(write(tmp_path / "p.jpg", quadrants()), orientation)
    wanted: Image = ORIENTATIONS[orientation](quadrants())
    found = read_image(path)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 5  # JPEG blurs the borders of the colours


@pytest.mark.parametrize("size", [(1, 1), (4097, 3), (3, 4097), (97, 63)], ids=str)
@pytest.mark.parametrize("model", ["dots", "pose-small"])
def test_odd_sizes_keep_their_size(
    tmp_path: Path, dots: Path, size: tuple[int, int], model: str
) -> None:
    source = write(tmp_path / "in.png", flat(*size, (40, 90, 200)))
    report = posert.run(
        source, tmp_path / "out.png", model=str(dots) if model == "dots" else model, input_size=64
    )
    assert (report.frames, report.exit_code) == (1, 0)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), flat(*size, (40, 90, 200)))


def test_a_picture_is_drawn_on_and_told_of(tmp_path: Path, dots: Path) -> None:
    source = write(tmp_path / "in.png", picture())
    posert.run(
        source, tmp_path / "new" / "out.jpg", model=str(dots), input_size=96,
        jsonl=tmp_path / "out.jsonl",
    )  # fmt: skip
    drawn = read_image(tmp_path / "new" / "out.jpg")
    assert drawn.shape == picture().shape
    assert np.abs(drawn.astype(int) - picture())[24:36, 30:50].max() > 100
    (line,) = read_lines(tmp_path / "out.jsonl")
    assert line["source"] == str(source)
    assert (line["frame"], line["width"], line["height"]) == (0, 96, 64)
    assert line["people"][0]["keypoints"]["nose"][:2] == pytest.approx([49.5, 29.5], abs=0.1)


def test_names_may_hold_any_letters(tmp_path: Path, dots: Path) -> None:
    source = write(tmp_path / "in.png", picture()).rename(tmp_path / "Straße 1 'ü' [x].png")
    report = posert.run(source, tmp_path / "é.png", model=str(dots))
    assert (report.frames, report.exit_code) == (1, 0)
    assert (tmp_path / "é.png").is_file()


def test_a_picture_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    header = b"P6\n100000 100000\n255\n"
    (tmp_path / "p.ppm").write_bytes(header + b"x" * 100)
    with pytest.raises(InputError, match=r"p\.ppm"):
        read_image(tmp_path / "p.ppm")


@pytest.mark.parametrize("name", ["out.xyz", "out.txt"])
def test_a_wrong_picture_ending_is_refused(tmp_path: Path, dots: Path, name: str) -> None:
    source = write(tmp_path / "in.png", picture())
    with pytest.raises(OutputError, match=r"expected \.png, \.jpg or \.webp"):
        posert.run(source, tmp_path / name, model=str(dots))


def test_arrays_become_bgr_without_a_change_of_colour() -> None:
    image = quadrants()
    np.testing.assert_array_equal(as_bgr(image), image)
    np.testing.assert_array_equal(as_bgr(image.astype(np.uint16) * 257), image)
    np.testing.assert_array_equal(as_bgr(np.dstack([image, image[:, :, 0]])), image)
    assert as_bgr(image[:, ::-1]).flags.c_contiguous
