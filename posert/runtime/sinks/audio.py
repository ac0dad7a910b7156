"""The source's sound into the output: copied, or encoded to AAC where MP4 cannot hold it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av

from posert.errors import first_line
from posert.types import SourceInfo

log = logging.getLogger(__name__)

# What each of FFmpeg's formats takes as it is. AC-3 is not among it: an MP4 of fragments begins
# before its first packet, which its header needs.
_COPIED: Final = {
    "mp4": frozenset({"aac", "mp3", "opus", "flac", "alac"}),
    "mov": frozenset({"aac", "mp3", "alac"}),
    "ipod": frozenset({"aac", "alac"}),  # .m4v
    "matroska": frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3", "vorbis"}),
}


_AFTER_LAST_S: Final = 0.1  # sounds with the last frame
_ENCODER_DELAY_S: Final = 0.1


def open_sound(info: SourceInfo, output: Any) -> AudioCopy | None:
    """The sound of ``info`` into ``output``; None where there is none, or none that works."""
    if info.audio is None:
        return None
    try:
        return AudioCopy(info, output)
    except (av.error.FFmpegError, OSError, LookupError, ValueError) as e:
        log.warning("%s: the video is silent: %s", info.name, first_line(e))
        return None


class AudioCopy:
    """Copies the first audio stream of ``info.audio`` beside the video frames as these pass."""

    def __init__(self, info: SourceInfo, output: Any) -> None:
        self.ended = False  # given up; the video goes on without it
        self._name = info.name
        self._output = output
        self._input = av.open(str(info.audio), metadata_errors="ignore")
        self._source = self._input.streams.audio[0]
        self._offset_s = Fraction(info.start_pts) * info.time_base
        self._copied = _fits(self._source.codec_context, output.format.name)
        if self._copied:
            self._stream = output.add_stream_from_template(self._source)
        else:
            self._stream = _aac_stream(output, self._source.codec_context, info.name)
        self._packets = self._readable()
        self._next: Any = None
        self._last_s = 0.0
        self._sent_s = -math.inf

    def start_at(self, time_s: Fraction) -> None:
        """Leaves out what sounds before ``time_s``, seconds from the source's first frame."""
        self._offset_s += time_s
        if time_s > 0:
            base = Fraction(self._source.time_base or Fraction(1, 1_000_000))
            self._input.seek(int(self._offset_s / base), stream=self._source)

    def copy_until(self, time_s: float) -> None:
        """Muxes the sound up to ``time_s``, seconds from the output's first frame.

        It goes one packet further: a muxer holds a picture back until later sound is there.
        """
        self._last_s = time_s
        beyond_s = time_s if self._copied else time_s + _ENCODER_DELAY_S
        while self._sent_s <= beyond_s and self._peek() is not None:
            self._send()

    def copy_rest(self, end_s: Fraction | None = None) -> None:
        """Muxes what sounds with the last frame, or before ``end_s``, and completes the stream."""
        end = self._last_s + _AFTER_LAST_S if end_s is None else float(end_s)
        while self._peek() is not None and self._time_s(self._next) < end:
            self._send()
        if not self._copied and not self.ended:
            self._encode(None)

    def give_up(self, error: Exception) -> None:
        """Ends the sound, which must not end the video."""
        log.warning("%s: the sound ends early: %s", self._name, first_line(error))
        self.ended = True

    def close(self) -> None:
        self._input.close()

    def _peek(self) -> Any:
        if self.ended:
            return None
        if self._next is None:
            self._next = next(self._packets, None)
        return self._next

    def _send(self) -> None:
        packet, self._next = self._next, None
        self._sent_s = self._time_s(packet)
        try:
            self._mux(packet)
        except ValueError as e:  # FFmpeg refuses the packet itself; a full disk is an OSError
            self.give_up(e)

    def _time_s(self, packet: Any) -> float:
        return float(packet.pts * packet.time_base - self._offset_s)

    def _readable(self) -> Iterator[Any]:
        try:
            for packet in self._input.demux(self._source):
                if packet.pts is not None and packet.size and self._time_s(packet) >= 0:
                    yield packet
        except av.error.FFmpegError as e:
            log.warning("sound ends early: %s", e.strerror)

    def _mux(self, packet: Any) -> None:
        offset = round(self._offset_s / packet.time_base)
        if self._copied:
            packet.pts -= offset
            packet.dts = packet.pts if packet.dts is None else packet.dts - offset
            packet.stream = self._stream
            self._output.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError as e:
            log.debug("damaged sound left out: %s", e.strerror)
            return
        for frame in frames:
            frame.pts = frame.pts - offset if frame.pts is not None else None
            self._encode(frame)

    def _encode(self, frame: Any) -> None:
        """Muxes AAC but for its priming: from a time below 0 the muxer would shift the video."""
        packets = self._stream.encode(frame)
        self._output.mux([p for p in packets if p.pts is None or p.pts >= 0])


def _aac_stream(output: Any, codec: Any, name: str) -> Any:
    """A stream of the nearest sample rate AAC knows; its encoder resamples to it."""
    log.info("%s: sound is %s, encoded to AAC", name, codec.name)
    rates = av.Codec("aac", "w").audio_rates or [48000]
    rate = min(rates, key=lambda known: abs(known - codec.sample_rate))
    if rate != codec.sample_rate:
        log.info("%s: sound of %d Hz is resampled to %d Hz", name, codec.sample_rate, rate)
    stream = output.add_stream("aac", rate=rate)
    channels = stream.codec_context.layout.nb_channels
    if codec.channels > channels:
        log.warning("%s: sound is reduced from %d channels to %d", name, codec.channels, channels)
    return stream


def _fits(codec: Any, container: str) -> bool:
    """Whether ``container`` takes the packets as they are; AAC of MPEG-TS lacks its header."""
    name = codec.codec.canonical_name
    return name in _COPIED[container] and (name != "aac" or bool(codec.extradata))
