"""An ONNX becomes a serialized engine."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

from posert.collector import collector_off
from posert.engine_builder.tensorrt.line import TensorRT
from posert.engine_builder.tensorrt.options import BuildOptions, set_options, set_profile
from posert.engine_builder.tensorrt.parse import parse
from posert.engine_builder.tensorrt.timing import load_timing_cache, save_timing_cache
from posert.engine_builder.tensorrt.watch import BuildWatch, Progress, make_logger, make_monitor
from posert.errors import EngineError
from posert.manifest import Profile

log = logging.getLogger(__name__)


def build_serialized(
    trt: TensorRT,
    onnx: Path | bytes,
    profile: Profile,
    options: BuildOptions,
    *,
    timing_cache: Path | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The serialized engine of ``onnx``, a network of one input of pictures.

    Args:
        trt: the line that builds.
        onnx: its input is float32 (N, 3, H, W), or uint8 (N, H, W, 3) frames.
        profile: sizes of the input's axes that the ONNX leaves free.
        options: what else the builder is told.
        timing_cache: file of what earlier builds measured, read and written anew; without effect
            on lines that build ahead of time.
        progress: called with the phase and the part of the build that is done, 0 to 1, where the
            line has a progress monitor. What it raises ends the build and is raised here.

    Raises:
        ModelError: the ONNX is damaged, or its input cannot take the profile's shapes.
        EngineError: this TensorRT refuses the network or an option, or fails.
    """
    watch = BuildWatch(str(trt), progress)
    with collector_off():
        try:
            with watch.signals_kept():
                return _built(trt, onnx, profile, options, timing_cache, watch)
        except BaseException as e:
            _release_frames(e)
            raise


def _release_frames(error: BaseException) -> None:
    """Destroy a failed build's objects now: an error that somebody keeps would keep them too."""
    at: BaseException | None = error
    while at is not None:
        traceback.clear_frames(at.__traceback__)
        at = at.__cause__


def _built(
    trt: TensorRT,
    onnx: Path | bytes,
    profile: Profile,
    options: BuildOptions,
    timing_cache: Path | None,
    watch: BuildWatch,
) -> bytes:
    logger = make_logger(trt.module, watch)
    builder = _builder(trt, logger, watch)
    network = watch.made(builder.create_network(_bits(trt)), "no network is created")
    # The parser owns the network's weights: it must live until the engine is built.
    parser = trt.module.OnnxParser(network, logger)
    parse(parser, network, onnx, watch)
    config = watch.made(builder.create_builder_config(), "no configuration is created")
    set_options(trt, config, options, watch)
    set_profile(trt, builder, network, config, profile, watch)
    if timing_cache is not None and not trt.ahead_of_time:
        load_timing_cache(config, timing_cache, watch)
    monitor = make_monitor(trt.module, watch)
    if monitor is not None:  # without ``progress`` too: it is how Ctrl-C ends a build early
        config.progress_monitor = monitor
    engine = watch.made(builder.build_serialized_network(network, config), "the build failed")
    if watch.errors:
        log.warning("%s built the engine and reported an error: %s", trt, watch.reason)
    if timing_cache is not None and not trt.ahead_of_time:
        save_timing_cache(config, timing_cache)
    return bytes(engine)


def _builder(trt: TensorRT, logger: Any, watch: BuildWatch) -> Any:
    try:
        return trt.module.Builder(logger)
    except (TypeError, RuntimeError) as e:  # what the Python bindings make of a null pointer
        watch.raise_what_callbacks_raised()
        raise EngineError(
            f"{trt}: the builder does not start: {watch.reason}",
            fix="build where the GPU and its driver are (posert doctor shows them)",
        ) from e


def _bits(trt: TensorRT) -> int:
    known = trt.module.NetworkDefinitionCreationFlag
    return sum(1 << int(getattr(known, flag)) for flag in trt.creation_flags)
