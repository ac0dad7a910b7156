"""What a run is told: one frozen value, the same from the command line, a file or Python."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import BeforeValidator

from posert.config import build, read_mapping
from posert.errors import ConfigError
from posert.model_card import STRICT, ModelCard
from posert.postprocess.draw import DrawStyle
from posert.postprocess.follow import FollowSettings
from posert.postprocess.settings import ParserSettings
from posert.postprocess.smooth import SmoothSettings
from posert.postprocess.track import TrackSettings
from posert.runtime.pipelines.passwords import without_passwords
from posert.runtime.sources.source import Reading, Span
from posert.runtime.video_io import VideoIO

_DURATION = {"expected": "seconds, or a duration as 200ms, 90s, 10m, 1h"}
_LASTS: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) *(ms|s|m|h|)")
_LONGEST_S: Final = 30 * 24 * 3600.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


Encoder: TypeAlias = Literal[
    "auto", "libx264", "h264_nvenc",
    "nvv4l2h264enc", "nvh264enc", "nvautogpuh264enc", "vah264enc", "x264enc", "openh264enc",
]  # fmt: skip


def _seconds(given: Any) -> Any:
    """``10m`` as 600.0; what is no duration is left to fail."""
    match = _LASTS.fullmatch(given) if isinstance(given, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else given


def _gpus(given: Any) -> Any:
    """``all`` as None, ``0,1`` or ``1`` as the GPUs' numbers; anything else is left to fail."""
    if given == "all":
        return None
    if isinstance(given, str) and re.fullmatch(r"[0-9]+(,[0-9]+)*", given):
        return tuple(map(int, given.split(",")))
    return (given,) if type(given) is int else given


def _input(given: Any) -> Any:
    """The number of a camera as text; anything else is left as it is."""
    return str(given) if type(given) is int else given


def _source(given: Any) -> Any:
    """An input alone as one that has nothing of its own."""
    if isinstance(given, str) or type(given) is int:
        return SourceSettings(str(given))
    if not isinstance(given, dict | SourceSettings):
        kind = type(given).__name__
        raise ValueError(f"got {kind}, expected an input, or a mapping with its key input")
    return given


def _quoted(text: str) -> str:
    """``text`` without passwords, however many addresses it holds."""
    return re.sub(r"[^\s,]+", lambda word: without_passwords(word[0]), without_passwords(text))


def _width_height(given: Any) -> Any:
    """``1920x1080`` as (1920, 1080); anything else is left to fail."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", given) if isinstance(given, str) else None
    return (int(match[1]), int(match[2])) if match else given


Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds)]
_BATCH = "three numbers: least, most often, most"
_LEAST_TILE: Final = 64  # pixels, of a side of the wall
_MOST_TILE: Final = 8192


@dataclass(frozen=True)
class SourceSettings:
    """What one source of a configuration file has of its own; None: as the run."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    input: Annotated[str, BeforeValidator(_input)]  # a file, folder, glob, camera or address
    name: str | None = None  # what data, outputs and the wall call it
    track: bool | None = None
    smooth: bool | None = None


@dataclass(frozen=True)
class RunSettings:
    """Settings of ``posert run``. None means: as the model's card says, or do not write it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    model: str = "pose-small"  # a name of `posert models`, a folder, a card.yaml or an .onnx
    backend: str = "auto"
    form: Literal["auto", "maps", "compact"] = "auto"  # auto: what is faster on the backend
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    workers: int | None = None  # threads of inference; None: what keeps the device busy
    processes: int | None = None  # that share the sources; None: what keeps the devices busy
    gpus: Annotated[tuple[int, ...] | None, BeforeValidator(_gpus)] = field(  # None: all
        default=None, metadata={"expected": "all, or numbers as 0,1"}
    )
    input_size: int | tuple[int, int] | None = field(  # pixels: long side, or (height, width)
        default=None,
        metadata={
            "expected": "pixels of the long side, or HEIGHTxWIDTH (in a file: [HEIGHT, WIDTH])"
        },
    )

    threshold: float | None = None  # least confidence of a keypoint
    link_threshold: float | None = None  # least score of a link
    max_peaks: int | None = None  # most keypoints of one type
    max_people: int | None = None
    min_parts: int | None = None  # keypoints a person must have
    min_score: float | None = None  # least score of a person
    parser: Literal["posert", "trt_pose"] = "posert"

    track: bool = True  # ids of people
    track_min_hits: int = 3  # frames before a person has an id
    track_max_age: Seconds = field(default=1.0, metadata=_DURATION)  # unseen, then a new id
    smooth: bool = True  # keypoints of people with an id

    colours: Literal["limbs", "trt_pose", "coco", "ids"] = "limbs"
    line_width: float = 1.0  # times the automatic width
    boxes: bool = False
    ids: bool = False
    trails: Seconds = field(default=0.0, metadata=_DURATION)  # how far back they reach
    names: bool = False  # of keypoints
    fade: bool = False  # what is less certain is fainter
    blur_faces: bool = False
    background: Literal["picture", "black", "people"] = "picture"

    # inputs where the command line has none
    sources: tuple[Annotated[SourceSettings, BeforeValidator(_source)], ...] = field(
        default=(), metadata={"meant": ("inputs", "input")}
    )
    output: Path | None = None  # video or picture; a folder for several inputs
    output_dir: Path | None = None  # a folder for one or several
    tile: Path | None = None  # a video of all sources side by side
    tile_size: Annotated[tuple[int, int], BeforeValidator(_width_height)] = field(
        default=(1920, 1080), metadata={"expected": "WIDTHxHEIGHT, pixels"}
    )
    jsonl: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    openpose_json: Path | None = None  # a folder
    contact_sheet: Path | None = None  # a PNG of frames spread over the run
    encoder: Encoder = "auto"
    segment: Seconds | None = field(default=None, metadata=_DURATION)  # of each file of a video
    status: Path | None = None  # a file that tells `posert health` how the run fares

    start: float = 0.0  # seconds
    every: int = 1
    max_frames: int | None = None  # of each input

    io: VideoIO = "auto"  # auto: the best that works here for each input
    at_once: int | None = None  # files under way at once; live sources all are
    max_latency: Seconds | None = field(default=None, metadata=_DURATION)  # of a live frame
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    rtsp_latency: Seconds = field(default=0.0, metadata=_DURATION)  # for late packets
    open_timeout: Seconds = field(default=10.0, metadata=_DURATION)
    read_timeout: Seconds = field(default=5.0, metadata=_DURATION)  # then it is opened anew
    give_up: Seconds | None = field(default=None, metadata=_DURATION)  # None: 30 s, then never

    def __post_init__(self) -> None:
        _check(self.every >= 1, "every", self.every, "1 or more")
        _check(self.start >= 0, "start", self.start, "0 seconds or more")
        _check(
            self.max_frames is None or self.max_frames >= 1,
            "max_frames",
            self.max_frames,
            "1 or more",
        )
        for name in ("workers", "at_once", "processes", "track_min_hits"):
            value = getattr(self, name)
            _check(value is None or value >= 1, name, value, "1 or more")
        for name in (
            "open_timeout", "read_timeout", "give_up", "segment", "max_latency", "track_max_age"
        ):  # fmt: skip
            value = getattr(self, name)
            fits = value is None or 0 < value <= _LONGEST_S
            _check(fits, name, value, "more than 0 seconds, at most 30 days")
        latency = self.rtsp_latency
        _check(0 <= latency <= 60, "rtsp_latency", latency, "0 to 60 seconds")
        _check(0 < self.line_width <= 20, "line_width", self.line_width, "above 0, at most 20")
        _check(0 <= self.trails <= 60, "trails", self.trails, "0 to 60 seconds")
        sides = f"{_LEAST_TILE} to {_MOST_TILE} pixels a side"
        fits = all(_LEAST_TILE <= side <= _MOST_TILE for side in self.tile_size)
        _check(fits, "tile_size", "x".join(map(str, self.tile_size)), sides)
        gpus = self.gpus
        fits = gpus is None or len(set(gpus)) == len(gpus) > 0 <= min(gpus)
        shown = ",".join(map(str, gpus or ())) or "empty"
        _check(fits, "gpus", shown, "numbers of GPUs, 0 or more, each once")
        on_cpu = gpus is not None and self.backend == "onnxruntime"
        _check(not on_cpu, "gpus", shown, "no GPUs with backend onnxruntime, which uses the CPU")
        both = self.output is not None and self.output_dir is not None
        _check(not both, "output_dir", self.output_dir, "either output or output_dir")

    @property
    def span(self) -> Span:
        """Which frames of each source are wanted."""
        return Span(self.start, self.every, self.max_frames)

    @property
    def reading(self) -> Reading:
        """How sources are opened and read."""
        return Reading(
            io=self.io,
            transport=self.rtsp_transport,
            latency_s=self.rtsp_latency,
            open_timeout_s=self.open_timeout,
            read_timeout_s=self.read_timeout,
            give_up_s=self.give_up,
        )

    @property
    def draw_style(self) -> DrawStyle:
        """How people are drawn."""
        return DrawStyle(
            colours=self.colours, line_width=self.line_width, boxes=self.boxes, ids=self.ids,
            trails_s=self.trails, names=self.names, fade=self.fade, blur_faces=self.blur_faces,
            background=self.background,
        )  # fmt: skip

    def follow_settings(self, source: SourceSettings) -> FollowSettings | None:
        """How the people of ``source`` are followed; None: they are not."""
        track = self.track if source.track is None else source.track
        smooth = self.smooth if source.smooth is None else source.smooth
        if not track:
            return None
        tracking = TrackSettings(min_hits=self.track_min_hits, max_age_s=self.track_max_age)
        return FollowSettings(tracking, SmoothSettings() if smooth else None)

    def parser_settings(self, card: ModelCard) -> ParserSettings:
        """The parser's settings: the card's, overruled by those that this run sets itself.

        Raises:
            ConfigError: a value is out of its range.
        """
        names = (
            "threshold", "link_threshold", "max_peaks", "max_people", "min_parts", "min_score"
        )  # fmt: skip
        own = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        of_card = card.parser if self.parser == "posert" else card.trt_pose_parser
        try:
            return replace(of_card, **own)
        except ValueError as e:
            raise ConfigError(str(e)) from e


@dataclass(frozen=True)
class BuildSettings:
    """Settings of ``posert build-engine`` beside those of the model and its parser."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    batch: tuple[int, int, int] | None = field(  # pictures a call; None: what is there, or 1,4,16
        default=None, metadata={"expected": _BATCH}
    )
    calibration: Path | None = None  # folder of pictures or a video, for int8 and the gate
    annotations: Path | None = None  # COCO keypoints of the calibration folder: the gate's AP
    targets: tuple[str, ...] = ()  # compute capabilities, TensorRT-RTX; none: the GPU that is here
    timing_cache: Path | None = None
    force: bool = False  # build anew, and keep what the gate refuses

    def __post_init__(self) -> None:
        least, best, most = self.batch or (1, 1, 1)
        _check(1 <= least <= best <= most, "batch", self.batch, "1 <= MIN <= OPT <= MAX")
        images = self.annotations is None or self.calibration is not None
        _check(images, "annotations", self.annotations, "calibration too: the folder of its images")


def read_settings(file: Path | None, given: dict[str, Any]) -> RunSettings:
    """Settings of ``file`` (YAML or JSON, keys as in RunSettings), overruled by those ``given``.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong.
    """
    data = read_mapping(file) if file is not None else {}
    where = str(file) if file is not None else "settings"
    return build(RunSettings, {**data, **given}, where, ConfigError, _quoted)


def read_build_settings(given: dict[str, Any]) -> BuildSettings:
    """``given`` as checked BuildSettings.

    Raises:
        ConfigError: a name or value is wrong.
    """
    batch = given.get("batch")
    if isinstance(batch, (list, tuple)) and len(batch) != 3:
        raise ConfigError("settings: batch", got=tuple(batch), expected=_BATCH)
    return build(BuildSettings, given, "settings", ConfigError)


def _check(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {got}: expected {expected}")
