"""What a builder's configuration is told: options, targets and the profile of input shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from posert.engine_builder.tensorrt.line import TensorRT
from posert.engine_builder.tensorrt.watch import BuildWatch
from posert.errors import EngineError, ModelError
from posert.manifest import Precision, Profile

Shape = tuple[int, ...]
FREE = -1  # a size that TensorRT is told with the profile


@dataclass(frozen=True)
class BuildOptions:
    """What a build may be told besides its network and profile."""

    precision: Precision = "fp32"  # of the ONNX; only TensorRT 8.6 does not see it there
    targets: tuple[str, ...] = ()  # compute capabilities, "8.6"; none: the line's own choice


def set_options(trt: TensorRT, config: Any, options: BuildOptions, watch: BuildWatch) -> None:
    """Tells ``config`` the options, and asks whether it took them."""
    for flag in trt.builder_flags(options.precision):
        config.set_flag(getattr(trt.module.BuilderFlag, flag))
    if options.targets:
        _set_targets(trt, config, tuple(dict.fromkeys(options.targets)), watch)


def known_targets(trt: TensorRT, targets: tuple[str, ...]) -> list[Any]:
    """TensorRT's own names of ``targets``.

    Raises:
        EngineError: the line builds for no targets, or not for one of these.
    """
    if not trt.ahead_of_time:
        raise EngineError(
            f"{trt} builds for the GPU it runs on, not for targets",
            got=", ".join(targets),
            fix="leave the targets out, or build with TensorRT-RTX",
        )
    members = trt.module.ComputeCapability.__members__
    known = {_dotted(name): member for name, member in members.items() if name[-1].isdecimal()}
    if unknown := [target for target in targets if target not in known]:
        raise EngineError(
            f"{trt} builds for no such compute capability",
            got=", ".join(unknown),
            expected=f"some of {', '.join(known)}",
        )
    return [known[target] for target in targets]


def _set_targets(trt: TensorRT, config: Any, targets: tuple[str, ...], watch: BuildWatch) -> None:
    config.num_compute_capabilities = len(targets)
    for index, (target, known) in enumerate(zip(targets, known_targets(trt, targets), strict=True)):
        if not config.set_compute_capability(known, index):
            raise watch.failure(f"target {target} is refused")


def _dotted(name: str) -> str:
    """``12.0`` of SM120."""
    digits = name.removeprefix("SM")
    return f"{digits[:-1]}.{digits[-1]}"


def set_profile(
    trt: TensorRT, builder: Any, network: Any, config: Any, profile: Profile, watch: BuildWatch
) -> None:
    """Gives the input's free axes the profile's sizes; refuses others than those of fixed axes."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    if len(inputs) != 1:
        names = [tensor.name for tensor in inputs]
        raise ModelError("the ONNX's inputs", got=names, expected="one, of pictures")
    (tensor,) = inputs
    sizes = zip(profile.batch, profile.height, profile.width, strict=True)
    frames = tensor.dtype == trt.module.DataType.UINT8
    shapes = [(n, h, w, 3) if frames else (n, 3, h, w) for n, h, w in sizes]
    _check_fixed(tensor.name, tuple(tensor.shape), shapes)
    if FREE not in tuple(tensor.shape):
        return
    ranges = builder.create_optimization_profile()
    try:
        ranges.set_shape(tensor.name, *shapes)
    except ValueError as e:
        raise EngineError(f"{trt} refuses the profile: {e}") from e
    if config.add_optimization_profile(ranges) < 0:
        raise watch.failure("the profile is refused")


def _check_fixed(name: str, shape: Shape, wanted: Sequence[Shape]) -> None:
    if len(shape) == 4 and all(
        size in (FREE, *sizes) and (size == FREE or len(set(sizes)) == 1)
        for size, *sizes in zip(shape, *wanted, strict=True)
    ):
        return
    asked = dict.fromkeys(" x ".join(map(str, sizes)) for sizes in (wanted[0], wanted[-1]))
    raise ModelError(
        f"the ONNX's input {name!r} cannot take the profile",
        got=" x ".join("any" if size == FREE else str(size) for size in shape),
        expected=" to ".join(asked),
        fix="export it with free axes, or build for its own size and batch",
    )
