"""What a viewer sees: upright, of the source's size, in the source's colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making.clips import clip, quadrants, read, turn
from making.pictures import flat, nose_of_frame, noses, picture

import posert
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile
from posert.types import Image

# H.264 at crf 21 and 8-bit YUV: a saturated colour is a few levels off; a wrong matrix (BT.601
# shown as BT.709) is off by 13 and more.
LEVELS = 6

TURNS = {90: 3, 180: 2, 270: 1}  # clockwise degrees -> NumPy's quarter turns


def centres(image: Image) -> list[list[int]]:
    """The colour in the middle of each quadrant."""
    h, w = image.shape[:2]
    spots = [(y * h // 4, x * w // 4) for y in (1, 3) for x in (1, 3)]
    return [image[y - 3 : y + 3, x - 3 : x + 3].mean((0, 1)).round().tolist() for y, x in spots]


@pytest.mark.parametrize("clockwise", TURNS)
def test_rotation_metadata_is_honoured(tmp_path: Path, dots: Path, clockwise: int) -> None:
    source = turn(clip(tmp_path / "in.mp4", [quadrants()] * 3), clockwise)
    wanted = np.rot90(quadrants(), TURNS[clockwise])
    video = VideoFile(source)
    (frame, *_) = video.frames(Span())
    video.close()
    assert (video.info.height, video.info.width) == frame.image.shape[:2] == wanted.shape[:2]
    np.testing.assert_allclose(centres(frame.image), centres(wanted), atol=LEVELS)

    posert.run(source, tmp_path / "out.mp4", model=str(dots), min_parts=18)  # nothing is drawn
    (shown, *_) = read(tmp_path / "out.mp4")
    assert shown.shape == wanted.shape
    np.testing.assert_allclose(centres(shown), centres(wanted), atol=2 * LEVELS)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
def test_the_shape_of_pixels_is_kept(
    tmp_path: Path, dots: Path, clockwise: int, ending: str
) -> None:
    pixel = Fraction(64, 45)
    source = turn(clip(tmp_path / "in.mp4", 3, pixel=pixel), clockwise)
    posert.run(source, tmp_path / f"out{ending}", model=str(dots))
    with av.open(str(tmp_path / f"out{ending}")) as container:
        found = container.streams.video[0].sample_aspect_ratio
    assert found == (1 / pixel if clockwise in (90, 270) else pixel)


def test_people_of_a_turned_clip_are_where_they_are_shown(tmp_path: Path, dots: Path) -> None:
    upright = picture(64, 96, [(41.5, 49.5)])
    source = turn(clip(tmp_path / "in.mp4", [np.rot90(upright).copy()] * 2), 90)
    video = VideoFile(source)
    (frame, *_) = video.frames(Span())
    video.close()
    np.testing.assert_allclose(
        noses(posert.Pose(dots, input_size=96)(frame.image)), [(41.5, 49.5)], atol=1
    )


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "bgr",
    [
        (0, 0, 255),
        (0, 255, 0),
        (255, 0, 0),
        (255, 255, 0),
        (0, 255, 255),
        (255, 255, 255),
        (0, 0, 0),
    ],
    ids=str,
)
def test_colours_survive(
    tmp_path: Path, dots: Path, bgr: tuple[int, int, int], ending: str
) -> None:
    source = clip(tmp_path / "in.mkv", [flat(96, 64, bgr)] * 2, codec="ffv1")
    posert.run(source, tmp_path / f"out{ending}", model=str(dots))
    (shown, *_) = read(tmp_path / f"out{ending}")
    np.testing.assert_allclose(shown.mean((0, 1)), bgr, atol=LEVELS)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".m4v"])
def test_the_output_is_tagged_h264_of_bt709(
    tmp_path: Path, walk: Path, dots: Path, ending: str
) -> None:
    posert.run(walk, tmp_path / f"out{ending}", model=str(dots))
    with av.open(str(tmp_path / f"out{ending}")) as container:
        context = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
        assert [int(tag) for tag in tags] == [1, 1, 1, 1]  # three times BT.709; MPEG range


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (2, 2), (4098, 2)], ids=str)
def test_the_output_has_the_source_s_size(
    tmp_path: Path, dots: Path, size: tuple[int, int]
) -> None:
    source = clip(tmp_path / "in.mkv", [flat(*size, (9, 9, 9))] * 2, codec="ffv1")
    posert.run(source, tmp_path / "out.mp4", model=str(dots))
    assert [image.shape[1::-1] for image in read(tmp_path / "out.mp4")] == [size] * 2


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((1, 1), (2, 2)), ((97, 64), (98, 64)), ((96, 63), (96, 64)), ((4097, 3), (4098, 4))],
)
def test_an_odd_size_gains_one_pixel_and_says_so(
    tmp_path: Path,
    dots: Path,
    caplog: pytest.LogCaptureFixture,
    size: tuple[int, int],
    wanted: tuple[int, int],
) -> None:
    source = clip(tmp_path / "in.mkv", [flat(*size, (40, 90, 200))] * 2, codec="ffv1")
    report = posert.run(source, tmp_path / "out.mp4", model=str(dots))
    assert (report.frames, report.exit_code) == (2, 0)
    shown = read(tmp_path / "out.mp4")
    assert [image.shape[1::-1] for image in shown] == [wanted] * 2
    np.testing.assert_allclose(shown[0][-1, -1], (40, 90, 200), atol=LEVELS)
    assert f"{size[0]} x {size[1]} is odd" in caplog.text


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path: Path, dots: Path) -> None:
    parts = [clip(tmp_path / f"{w}.ts", [flat(w, 64, (0, 200, 0))] * 4) for w in (96, 128)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = posert.run(joined, tmp_path / "out.mp4", model=str(dots))
    assert report.exit_code == 0
    assert {image.shape for image in read(tmp_path / "out.mp4")} == {(64, 96, 3)}


def test_the_skeleton_is_drawn_where_the_person_is(tmp_path: Path, walk: Path, dots: Path) -> None:
    posert.run(walk, tmp_path / "out.mp4", model=str(dots), input_size=96, colours="trt_pose")
    before, after = read(walk), read(tmp_path / "out.mp4")
    for i in (0, 11):
        changed = np.abs(after[i].astype(int) - before[i]).max(axis=2) > 60
        rows, columns = np.nonzero(changed)
        x, y = nose_of_frame(i)
        assert columns.min() == pytest.approx(x - 20, abs=4)
        assert columns.max() == pytest.approx(x, abs=4)
        assert (rows.min(), rows.max()) == pytest.approx((y, y), abs=4)
