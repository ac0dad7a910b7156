"""Frame rates, timestamps, and which frames are taken."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making.clips import clip, times
from making.command import Command
from making.networks import read_lines
from making.pictures import nose_of_frame, picture

import posert
from posert.runtime.sources.source import Span
from posert.runtime.sources.video_file import VideoFile

NTSC = Fraction(30000, 1001)
UNEVEN = (0, 40, 50, 133, 134, 500, 501, 777)  # milliseconds


def rate_of(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return Fraction(container.streams.video[0].average_rate or 0)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("rate", [NTSC, Fraction(24000, 1001), Fraction(15), Fraction(60)])
def test_the_rate_stays_exact(tmp_path: Path, dots: Path, rate: Fraction, ending: str) -> None:
    source = clip(tmp_path / "in.mp4", 10, rate=rate)
    posert.run(source, tmp_path / f"out{ending}", model=str(dots))
    found = times(tmp_path / f"out{ending}")
    wanted = [i / rate for i in range(10)]
    tick = Fraction(1, 1000) if ending == ".mkv" else 0  # Matroska counts in milliseconds
    assert all(abs(f - w) <= tick for f, w in zip(found, wanted, strict=True))
    assert abs(rate_of(tmp_path / f"out{ending}") - rate) <= tick * 30


@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_a_variable_rate_keeps_its_timestamps(tmp_path: Path, dots: Path, codec: str) -> None:
    source = clip(
        tmp_path / "in.mkv", len(UNEVEN), pts=UNEVEN, time_base=Fraction(1, 1000), codec=codec
    )
    posert.run(source, tmp_path / "out.mp4", model=str(dots), jsonl=tmp_path / "out.jsonl")
    wanted = [Fraction(t, 1000) for t in UNEVEN]
    assert times(tmp_path / "out.mp4") == wanted
    assert [line["time"] for line in read_lines(tmp_path / "out.jsonl")] == list(map(float, wanted))


def test_b_frames_come_in_the_order_they_are_shown(tmp_path: Path, dots: Path) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(picture(noses=[nose_of_frame(i)]), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    posert.run(source, model=str(dots), input_size=96, jsonl=tmp_path / "out.jsonl")
    lines = read_lines(tmp_path / "out.jsonl")
    found = [line["people"][0]["keypoints"]["nose"][0] for line in lines]
    assert found == pytest.approx([nose_of_frame(i)[0] for i in range(12)], abs=1)


@pytest.mark.parametrize(
    ("span", "wanted"),
    [
        (Span(), list(range(12))),
        (Span(max_frames=3), [0, 1, 2]),
        (Span(every=5), [0, 5, 10]),
        (Span(every=5, max_frames=2), [0, 5]),
        (Span(every=100), [0]),
        (Span(start_s=0.16), list(range(4, 12))),
        (Span(start_s=0.15), list(range(4, 12))),
        (Span(start_s=0.16, every=3), [4, 7, 10]),
        (Span(start_s=0.16, every=3, max_frames=2), [4, 7]),
        (Span(start_s=0.44), [11]),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts", ".avi"])
def test_the_frames_asked_for_are_taken(
    tmp_path: Path, span: Span, wanted: list[int], ending: str
) -> None:
    """Frames tell who they are by their brightness, whatever the source says of them."""
    grey = [np.full((64, 96, 3), 20 * i, np.uint8) for i in range(12)]
    source = VideoFile(clip(tmp_path / f"in{ending}", grey, gop=4))
    frames = list(source.frames(span))
    source.close()
    assert [round(float(f.image.mean()) / 20) for f in frames] == wanted
    assert [f.index for f in frames] == wanted
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in wanted])
    assert source.skipped == 0


def test_start_is_exact_where_the_clock_does_not_begin_at_zero(tmp_path: Path) -> None:
    source = VideoFile(clip(tmp_path / "in.ts", 12, gop=4, pts=range(100, 112)))
    assert source.info.start_pts > 0
    frames = list(source.frames(Span(start_s=0.2)))
    source.close()
    assert [f.index for f in frames] == list(range(5, 12))
    assert frames[0].time_s == pytest.approx(0.2)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_start_behind_the_end_is_refused(
    posert: Command, tmp_path: Path, dots: Path, ending: str
) -> None:
    source = clip(tmp_path / f"in{ending}", 12)
    output = tmp_path / "out.mp4"
    outcome = posert("run", source, "-o", output, "--model", dots, "--start", "60")
    assert outcome.code == 3
    assert outcome.refusal() == (
        f"posert: {source}: has no frame at or after 60 s: got a length of 0.48 s"
    )
    assert not output.exists()  # it would be a video without a frame


@pytest.mark.parametrize(
    ("codec", "format", "rate"),
    [("libx264", "h264", Fraction(25)), ("libx264", "h264", NTSC), ("libx265", "hevc", NTSC)],
)
def test_a_raw_stream_is_timed_by_its_frame_numbers(
    tmp_path: Path, dots: Path, codec: str, format: str, rate: Fraction
) -> None:
    source = clip(tmp_path / f"in.{format}", 12, codec=codec, format=format, rate=rate)
    report = posert.run(source, tmp_path / "out.mp4", model=str(dots), jsonl=tmp_path / "out.jsonl")
    assert (report.frames, report.exit_code) == (12, 0)
    wanted = [float(i / rate) for i in range(12)]
    tick = 1 / 1_200_000  # of FFmpeg's clock of raw streams
    assert list(map(float, times(tmp_path / "out.mp4"))) == pytest.approx(wanted, abs=tick)
    found = [line["time"] for line in read_lines(tmp_path / "out.jsonl")]
    assert found == pytest.approx(wanted, abs=0.001)


def test_a_raw_stream_is_taken_from_its_start_on(tmp_path: Path) -> None:
    source = VideoFile(clip(tmp_path / "in.h264", 12, format="h264"))
    frames = list(source.frames(Span(start_s=0.16, every=3)))
    source.close()
    assert [(f.index, f.time_s) for f in frames] == [(4, 0.16), (7, 0.28), (10, 0.4)]


def test_taken_frames_keep_their_times_in_the_output(
    tmp_path: Path, walk: Path, dots: Path
) -> None:
    posert.run(walk, tmp_path / "out.mp4", model=str(dots), start=0.08, every=3)
    assert times(tmp_path / "out.mp4") == [Fraction(i, 25) for i in (0, 3, 6, 9)]


def test_the_seconds_of_the_data_count_from_the_first_frame(tmp_path: Path, dots: Path) -> None:
    source = clip(tmp_path / "in.ts", 12, pts=range(100, 112))
    posert.run(source, model=str(dots), jsonl=tmp_path / "out.jsonl", start=0.2, max_frames=2)
    lines = read_lines(tmp_path / "out.jsonl")
    assert [(line["frame"], line["time"]) for line in lines] == [(5, 0.2), (6, 0.24)]
