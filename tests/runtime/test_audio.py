"""The source's sound in the output: the same packets at the same times, or AAC where need be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making.clips import clip, sound_packets, times

import posert

AAC_FRAME = Fraction(1024, 48000)  # seconds of sound in a packet


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.name


def wave(path: Path, rate: int | None = None) -> np.ndarray:
    """The sound in mono, at ``rate`` or its own, from the first video frame's time on."""
    with av.open(str(path)) as container:
        shown = next(container.decode(video=0))  # in AVI, B-frames let the picture begin late
        first_s = Fraction(shown.pts or 0) * Fraction(shown.time_base or 1)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        if rate is not None:
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
            frames = [piece for f in [*frames, None] for piece in resampler.resample(f)]
        rate = frames[0].sample_rate
        start = Fraction(frames[0].pts or 0) * Fraction(frames[0].time_base or 1) - first_s
        samples = np.concatenate([f.to_ndarray().astype(np.float64).mean(axis=0) for f in frames])
    skip = round(-start * rate)
    return samples[skip:] if skip >= 0 else np.concatenate([np.zeros(-skip), samples])


def delay_s(one: np.ndarray, other: np.ndarray, rate: int = 48000) -> float:
    """By how much ``other`` is later than ``one``, from where they are most alike."""
    length = min(len(one), len(other))
    spectrum = np.fft.rfft(other[:length], 2 * length) * np.conj(
        np.fft.rfft(one[:length], 2 * length)
    )
    at = int(np.fft.irfft(spectrum).argmax())
    return (at if at < length else at - 2 * length) / rate


@pytest.mark.parametrize(
    ("codec", "ending"),
    [
        ("aac", ".mp4"), ("aac", ".mov"), ("aac", ".m4v"), ("aac", ".mkv"), ("mp3", ".mp4"),
        ("mp3", ".mov"), ("mp3", ".mkv"), ("flac", ".mp4"), ("flac", ".mkv"), ("ac3", ".mkv"),
    ],
)  # fmt: skip
def test_sound_that_mp4_holds_is_copied_bit_by_bit(
    tmp_path: Path, dots: Path, codec: str, ending: str
) -> None:
    source = clip(tmp_path / "in.mkv", 25, sound=codec)
    report = posert.run(source, tmp_path / f"out{ending}", model=str(dots))
    assert report.exit_code == 0
    assert codec_of(tmp_path / f"out{ending}") == codec_of(source)
    wanted = [p for p in sound_packets(source) if p.time_s >= 0]
    found = sound_packets(tmp_path / f"out{ending}")
    assert len(wanted) > 10
    assert [p.data for p in found] == [p.data for p in wanted]
    late = [float(f.time_s - w.time_s) for f, w in zip(found, wanted, strict=True)]
    # Matroska counts in milliseconds, and was read and written here
    np.testing.assert_allclose(late, 0, atol=0.002)


def test_aac_of_an_mp4_stays_in_sync_to_the_sample(tmp_path: Path, dots: Path) -> None:
    source = clip(tmp_path / "in.mp4", 50, sound="aac")
    posert.run(source, tmp_path / "out.mp4", model=str(dots))
    wanted = {p.data: p.time_s for p in sound_packets(source) if p.time_s >= 0}
    found = {p.data: p.time_s for p in sound_packets(tmp_path / "out.mp4")}
    assert found == wanted


@pytest.mark.parametrize("ending", [".mkv", ".avi", ".mov"])
def test_pcm_is_encoded_to_aac_in_sync(tmp_path: Path, dots: Path, ending: str) -> None:
    source = clip(tmp_path / f"in{ending}", 50, sound="pcm_s16le")
    report = posert.run(source, tmp_path / "out.mp4", model=str(dots))
    assert report.exit_code == 0
    assert codec_of(tmp_path / "out.mp4") == "aac"
    assert times(tmp_path / "out.mp4") == times(source) == [Fraction(i, 25) for i in range(50)]
    before, after = wave(source), wave(tmp_path / "out.mp4")
    assert len(after) == pytest.approx(len(before), abs=2 * 1024)
    assert delay_s(before / np.abs(before).max(), after) == pytest.approx(0, abs=0.025)


@pytest.mark.parametrize(("rate", "wanted"), [(192_000, 96_000), (5_000, 7_350)])
def test_a_sample_rate_that_aac_lacks_becomes_the_nearest(
    tmp_path: Path, dots: Path, rate: int, wanted: int
) -> None:
    source = clip(tmp_path / "in.mkv", 50, sound="pcm_s16le", sound_rate=rate)
    report = posert.run(source, tmp_path / "out.mp4", model=str(dots))
    assert report.exit_code == 0
    assert times(tmp_path / "out.mp4") == times(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.sample_rate == wanted
    assert len(wave(tmp_path / "out.mp4")) == pytest.approx(2 * wanted, abs=3 * 1024)
    before, after = (wave(path, 4000) for path in (source, tmp_path / "out.mp4"))
    assert delay_s(before, after, 4000) == pytest.approx(0, abs=0.03)


def test_channels_that_are_lost_are_told(
    tmp_path: Path, dots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clip(tmp_path / "in.mkv", 25, sound="pcm_s16le", sound_layout="5.1")
    assert posert.run(source, tmp_path / "out.mp4", model=str(dots)).exit_code == 0
    assert "sound is reduced from 6 channels to 2" in caplog.text


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_start_shifts_the_sound_with_the_picture(tmp_path: Path, dots: Path, codec: str) -> None:
    source = clip(tmp_path / "in.mov", 50, sound=codec)
    posert.run(source, tmp_path / "out.mp4", model=str(dots), start=1.0)
    before, after = wave(source)[48000:], wave(tmp_path / "out.mp4")
    assert delay_s(before, after) == pytest.approx(0, abs=0.025)
    assert len(after) == pytest.approx(48000, abs=3 * 1024)


def test_the_sound_ends_with_the_last_frame_taken(tmp_path: Path, dots: Path) -> None:
    source = clip(tmp_path / "in.mp4", 75, sound="aac")
    posert.run(source, tmp_path / "out.mp4", model=str(dots), max_frames=25)
    assert len(times(tmp_path / "out.mp4")) == 25
    last = max(p.time_s for p in sound_packets(tmp_path / "out.mp4"))
    assert float(last) == pytest.approx(1, abs=0.15)


def test_a_clip_whose_clock_begins_late_keeps_its_sound(tmp_path: Path, dots: Path) -> None:
    source = clip(tmp_path / "in.ts", 25, sound="aac", pts=range(25))
    report = posert.run(source, tmp_path / "out.mp4", model=str(dots))
    assert report.exit_code == 0
    assert len(sound_packets(tmp_path / "out.mp4")) > 20


def test_a_silent_clip_gives_a_silent_video(tmp_path: Path, walk: Path, dots: Path) -> None:
    posert.run(walk, tmp_path / "out.mp4", model=str(dots))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("ac3", ".mp4"), ("mp2", ".mp4"), ("flac", ".mov"), ("mp3", ".m4v"), ("mp2", ".mkv")],
)
def test_other_sound_is_encoded(tmp_path: Path, dots: Path, codec: str, ending: str) -> None:
    source = clip(tmp_path / "in.mkv", 50, sound=codec)
    assert posert.run(source, tmp_path / f"out{ending}", model=str(dots)).exit_code == 0
    assert codec_of(tmp_path / f"out{ending}") == "aac"
    assert delay_s(wave(source), wave(tmp_path / f"out{ending}")) == pytest.approx(0, abs=0.03)
