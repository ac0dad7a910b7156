"""The model card: what a network expects and returns. It is the contract of a model.

``posert.engine_builder.card`` reads cards from ``card.yaml`` and holds them against the ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from posert.postprocess.settings import ParserSettings

InputSize = int | tuple[int, int]  # pixels: the long side, or (height, width)
STRICT: dict[str, Any] = {"extra": "forbid"}  # an unknown key in a file is an error


def height_and_width(size: InputSize) -> tuple[int, int]:
    """Height and width of an input size; a long side's are those of its square."""
    return size if isinstance(size, tuple) else (size, size)


@dataclass(frozen=True)
class InputCard:
    """The network's input, float32 (N, 3, H, W): (pixel / scale - mean) / std per channel."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    size: InputSize
    multiple: int  # height and width are multiples of this
    colour: Literal["rgb", "bgr"]
    resize: Literal["letterbox", "stretch"]
    scale: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in ``colour`` order
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 114  # grey level of the letterbox's border
    fixed: bool = False  # True: the ONNX takes ``size`` and no other
    tested_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sides = (self.size,) if isinstance(self.size, int) else self.size
        if self.multiple < 1 or any(s < 1 or s % self.multiple for s in sides):
            raise ValueError(f"size {self.size} is not a multiple of {self.multiple}")
        if self.scale <= 0 or min(self.std) <= 0:
            raise ValueError("scale and std must be positive")
        if not 0 <= self.fill <= 255:
            raise ValueError(f"fill {self.fill} is not a grey level from 0 to 255")


@dataclass(frozen=True)
class TensorCard:
    """One output tensor, or a slice of one: ``channels`` = (first, past the last)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    channels: tuple[int, int]

    def __post_init__(self) -> None:
        if not 0 <= self.channels[0] < self.channels[1]:
            raise ValueError(f"channels {self.channels} is not (first, past the last)")


@dataclass(frozen=True)
class OutputCard:
    """Confidence maps and part affinity fields, both at 1/``stride`` of the input."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    cmap: TensorCard
    paf: TensorCard
    stride: int

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"stride {self.stride} is not 1 or more")


@dataclass(frozen=True)
class ParserCard(ParserSettings):
    """PoseRT's parser for this network; the defaults suit most (docs/parser.md)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    threshold: float = 0.05
    link_threshold: float = 0.03
    max_peaks: int = 100
    min_parts: int = 3
    min_score: float = 0.05
    reference: bool = False


@dataclass(frozen=True)
class TrtPoseParserCard(ParserSettings):
    """trt_pose's parser for this network, for ``--parser trt_pose``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_peaks: int = 100
    min_parts: int = 3


@dataclass(frozen=True)
class VariantCard:
    """The same network in another precision, made beforehand for one backend."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    backend: str
    precision: Literal["fp16", "int8"]
    onnx: str  # file name beside the card
    sha256: str | None = None
    notes: str = ""


@dataclass(frozen=True)
class SourceCard:
    """Where the weights come from."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    url: str
    sha256: str | None = None  # of the file at ``url``; None where nobody published it
    how: str = ""  # from that file to the ONNX


@dataclass(frozen=True)
class Measured:
    """One accuracy measurement; AP is COCO keypoint AP at OKS 0.50:0.95."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    dataset: str
    size: int | tuple[int, int]
    parser: str
    ap: float
    ap50: float
    ap75: float
    by: str = "PoseRT"
    precision: str = "fp32"


@dataclass(frozen=True)
class ModelCard:
    """A model's card. ``folder`` is where its files are; it is not written in the file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    title: str
    onnx: str  # file name beside the card
    topology: str  # file name beside the card
    input: InputCard
    outputs: OutputCard
    licence: str
    training_data: str
    source: SourceCard
    sha256: str | None = None  # of the ONNX; None: made by the user, so unknown beforehand
    parser: ParserCard = ParserCard()
    trt_pose_parser: TrtPoseParserCard = TrtPoseParserCard()
    variants: tuple[VariantCard, ...] = ()
    measured: tuple[Measured, ...] = ()
    credits: str = ""
    notes: str = ""
    folder: Path = field(default=Path(), kw_only=True)

    @property
    def onnx_path(self) -> Path:
        return self.folder / self.onnx

    @property
    def topology_path(self) -> Path:
        return self.folder / self.topology
