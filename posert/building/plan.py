"""What is to be built: every choice made, before anything is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, get_args

from posert.building.weights import source_sha256
from posert.engine_builder.cache import Request
from posert.engine_builder.compact import peaks_limit
from posert.engine_builder.onnx_check import is_quantised
from posert.engine_builder.tensorrt import load_tensorrt
from posert.errors import ConfigError, EngineError, ModelError
from posert.gpu import cpu
from posert.manifest import (
    Backend,
    Form,
    Line,
    Precision,
    Profile,
    device_of,
    installed_version,
)
from posert.model_card import InputCard, InputSize, ModelCard, height_and_width
from posert.postprocess.settings import ParserSettings
from posert.postprocess.topology import Topology
from posert.runtime.cores import usable_cores
from posert.runtime.preprocess import check_size
from posert.settings import BuildSettings, RunSettings

# The compact form keeps Python's lock for half as long: on a CPU that pays from so many cores on.
_CORES_FOR_COMPACT: Final = 8
_BATCH: Final = (1, 4, 16)
_MOST_PEAKS: Final = 256  # of a type; link scores take their square, 5 MB a picture here


@dataclass(frozen=True)
class Plan:
    """An engine to be built; two equal plans give the same engine."""

    card: ModelCard
    topology: Topology
    backend: Backend
    form: Form
    precision: Precision
    profile: Profile
    size: InputSize  # pixels: the long side, or (height, width)
    parser: ParserSettings | None  # baked into the compact form; None for the maps form
    source: Path  # the ONNX it starts from
    source_precision: Precision
    targets: tuple[str, ...] = ()  # compute capabilities; none: this device

    @property
    def line(self) -> Line:
        """The program that builds and runs it."""
        return "onnxruntime" if self.backend == "onnxruntime-cuda" else self.backend

    @property
    def as_it_is(self) -> bool:
        """Whether the ONNX itself is the engine: nothing is to be built."""
        on_onnxruntime = self.line == "onnxruntime"
        return on_onnxruntime and self.form == "maps" and self.precision == self.source_precision

    def request(self) -> Request:
        """All that the engine will be made of, known without making it.

        Calibration pictures are left out: a run takes the int8 engine that is there.

        Raises:
            EngineError: its line is not installed, or there is no GPU to build for.
            ModelError: the ONNX or a file of its weights cannot be read.
        """
        version = installed_version(self.line)
        if version is None:
            if self.line != "onnxruntime":
                load_tensorrt(self.line)  # says how to get it
            raise EngineError(f"{self.line} is not installed", fix="see: posert doctor")
        device = device_of(self.backend) or (cpu() if self.targets else None)
        if device is None:
            raise EngineError(
                f"{self.backend}: there is no NVIDIA GPU here to build for",
                fix="TensorRT-RTX builds for others: --backend tensorrt-rtx --target 8.9",
            )
        return Request(
            model=self.card.name,
            backend=self.backend,
            form=self.form,
            precision=self.precision,
            source_sha256=source_sha256(self.source),
            line=self.line,
            line_version=version,
            device=device,
            profile=self.profile,
            targets=self.targets,
            parser=asdict(self.parser) if self.parser is not None else None,
            options={
                "input": asdict(self.card.input),
                "outputs": asdict(self.card.outputs),
                "topology": self.topology.rows.tolist(),
                "source_precision": self.source_precision,
            },
        )

    def __str__(self) -> str:
        return f"{self.card.name} for {self.backend}, {self.precision}, {self.form} form"


def make_plan(
    card: ModelCard,
    topology: Topology,
    backend: Backend,
    settings: RunSettings,
    build: BuildSettings,
) -> Plan:
    """The engine that ``settings`` and ``build`` ask for on ``backend``.

    Raises:
        ConfigError: sizes, batch or targets are wrong.
        ModelError: the precision that is asked for cannot be had from this model.
    """
    form = _faster_form(backend, topology, settings) if settings.form == "auto" else settings.form
    calibrated = build.calibration is not None
    source, source_precision, precision = _source(card, backend, settings.precision, calibrated)
    if settings.precision == "int8" and backend == "onnxruntime-cuda":
        raise ConfigError("precision", got="int8", expected=f"fp16 or fp32: {backend} has no int8")
    if build.targets and backend != "tensorrt-rtx":
        raise ConfigError("--target", got=backend, expected="tensorrt-rtx; others build for here")
    size = check_size(card.input, settings.input_size)
    profile = profile_of(size, card.input, build.batch or _BATCH)
    parser = _baked(card, topology, settings, profile) if form == "compact" else None
    return Plan(
        card, topology, backend, form, precision, profile, size, parser, source,
        source_precision, _in_order(build.targets),
    )  # fmt: skip


def _faster_form(backend: Backend, topology: Topology, settings: RunSettings) -> Form:
    """What docs/engines.md measured to be faster here, of what can be had."""
    if not topology.links or (settings.max_peaks or 0) > _MOST_PEAKS:
        return "maps"
    alike = backend == "onnxruntime" and usable_cores() < _CORES_FOR_COMPACT
    return "maps" if alike else "compact"  # alike: then nothing need be built


def _source(
    card: ModelCard, backend: Backend, wanted: str, calibrated: bool
) -> tuple[Path, Precision, Precision]:
    """The ONNX to start from, its precision, and the precision to end with.

    INT8 that is to be ``calibrated`` with pictures of the user's is not the one that is shipped.
    """
    made = {v.precision: card.folder / v.onnx for v in card.variants if v.backend == backend}
    precision: Precision
    if wanted in get_args(Precision):
        precision = wanted  # type: ignore[assignment]  # of the line above
    elif backend == "onnxruntime":
        precision = "int8" if "int8" in made else "fp32"
    else:
        precision = "fp16"
    anew = wanted == "int8" and calibrated
    if precision in made and not anew:
        return made[precision], precision, precision
    path = card.onnx_path
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: is no ONNX file")
    if not is_quantised(path):
        return path, "fp32", precision
    if wanted not in ("auto", "int8") or anew:
        what = "calibration" if anew else f"precision {wanted}"
        raise ModelError(f"{path}: is quantised already", got=what, fix="give the fp32 ONNX")
    return path, "int8", "int8"


def _in_order(targets: tuple[str, ...]) -> tuple[str, ...]:
    """8.9 before 12.0, each once: the same targets are the same engine."""
    return tuple(sorted(set(targets), key=lambda target: (len(target), target)))


def profile_of(size: InputSize, card: InputCard, batch: tuple[int, int, int]) -> Profile:
    """Shapes to build for; a long side leaves the shape to the picture: 16:9 is the best one."""
    if isinstance(size, tuple) or card.fixed or card.resize == "stretch":
        height, width = height_and_width(size)
        return Profile(batch, (height,) * 3, (width,) * 3)
    least = card.multiple
    landscape = -(-size * 9 // 16 // least) * least
    return Profile(batch, (least, landscape, size), (least, size, size))


def _baked(
    card: ModelCard, topology: Topology, settings: RunSettings, profile: Profile
) -> ParserSettings:
    """Settings that the graph holds; those that the host applies are left at their defaults.

    A threshold above the card's is the host's too, so that raising it builds nothing anew.
    """
    wanted = settings.parser_settings(card)
    of_card = card.trt_pose_parser if wanted.reference else card.parser
    stride = card.outputs.stride
    cells = (profile.height[1] // stride, profile.width[1] // stride)
    if wanted.max_peaks > _MOST_PEAKS and settings.max_peaks is not None:
        expected = f"at most {_MOST_PEAKS} in the compact form"
        raise ConfigError("max_peaks", got=wanted.max_peaks, expected=expected, fix="--form maps")
    most = settings.max_peaks or peaks_limit(topology, wanted, cells)
    return ParserSettings(
        threshold=min(wanted.threshold, of_card.threshold),
        window=wanted.window,
        samples=wanted.samples,
        max_peaks=most,
        reference=wanted.reference,
    )
