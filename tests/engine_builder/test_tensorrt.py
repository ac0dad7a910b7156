"""What each line of TensorRT is asked, and how its silent failures become errors.

The lines are stand-ins (``fake_trt``); ``test_tensorrt_rtx.py`` builds with a real one.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fake_trt import Fake, tell
from making.networks import mean_colour, save
from onnx import helper

from posert.engine_builder.tensorrt import BuildOptions, build_serialized, load_tensorrt
from posert.engine_builder.tensorrt.watch import BuildWatch, make_logger, shortened
from posert.errors import EngineError, ModelError
from posert.manifest import Profile

ONNX = b"the stand-ins do not look at it"
PROFILE = Profile(batch=(1, 2, 8), height=(224, 256, 512), width=(224, 384, 512))
DEFAULT = BuildOptions()
LINES = ("8.6.1", "10.3.0", "11.4.0", "later")


def build(fake: Fake, options: BuildOptions = DEFAULT, **more: Any) -> bytes:
    return build_serialized(fake.line, ONNX, PROFILE, options, **more)


@pytest.mark.parametrize(
    ("version", "precision", "creation", "flags"),
    [
        ("8.6.1", "fp32", {"EXPLICIT_BATCH"}, set()),
        ("8.6.1", "fp16", {"EXPLICIT_BATCH"}, {"FP16"}),
        ("8.6.1", "int8", {"EXPLICIT_BATCH"}, {"FP16", "INT8"}),
        ("10.3.0", "fp16", {"STRONGLY_TYPED"}, set()),
        ("10.3.0", "int8", {"STRONGLY_TYPED"}, set()),
        ("11.4.0", "int8", {"STRONGLY_TYPED"}, set()),
        ("later", "fp16", set(), set()),
    ],
)
def test_a_line_is_told_the_precision_only_where_it_does_not_read_it_from_the_onnx(
    version: str, precision: Any, creation: set[str], flags: set[str]
) -> None:
    fake = Fake(version)
    assert build(fake, BuildOptions(precision)) == b"an engine"
    assert (fake.creation, fake.flags) == (creation, flags)
    assert {*fake.line.creation_flags, *fake.line.builder_flags(precision)} == creation | flags


@pytest.mark.parametrize("version", LINES)
def test_the_free_axes_get_the_profile(version: str) -> None:
    fake = Fake(version)
    build(fake)
    assert fake.shapes == {"input": ((1, 3, 224, 224), (2, 3, 256, 384), (8, 3, 512, 512))}


def test_a_fixed_input_gets_no_profile() -> None:
    fake = Fake("10.3.0", input_shape=(1, 3, 256, 384))
    build_serialized(fake.line, ONNX, Profile((1, 1, 1), (256,) * 3, (384,) * 3), BuildOptions())
    assert not fake.shapes


@pytest.mark.parametrize(
    "shape", [(-1, 3, 224, 224), (1, 3, -1, -1), (-1, -1, -1), (-1, 1, -1, -1)]
)
def test_a_profile_that_the_input_cannot_take_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"input 'input' cannot take the profile: got .*any.* exp"):
        build(Fake("10.3.0", input_shape=shape))


LOGGED = (
    "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any "
    "implementation for node {ForeignNode[a...b]}. In computeCosts at /_src/optimizer.cpp:4105)"
)


@pytest.mark.parametrize("version", LINES)
@pytest.mark.parametrize("severity", ["ERROR", "INTERNAL_ERROR"])
def test_a_build_that_returns_nothing_says_why(version: str, severity: str) -> None:
    said = [("VERBOSE", "x"), ("WARNING", "y"), (severity, LOGGED), ("ERROR", "what follows")]
    with pytest.raises(EngineError) as caught:
        build(Fake(version, said, fails=("build",)))
    assert str(caught.value) == (
        f"TensorRT {version}: the build failed: "
        "Internal Error (Could not find any implementation for node {ForeignNode[a...b]})"
    )


@pytest.mark.parametrize(
    ("fails", "options", "message"),
    [
        ("profile", BuildOptions(), "the profile is refused"),
        ("build", BuildOptions(), "TensorRT's log gives no reason"),
        ("none", BuildOptions(targets=("8.6",)), "the GPU it runs on, not for targets: got 8.6"),
    ],
)
def test_every_refusal_is_an_error(fails: str, options: BuildOptions, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        build(Fake("10.3.0", fails=(fails,)), options)


def test_an_old_parser_names_the_operator_by_its_place_in_the_onnx(tmp_path: Path) -> None:
    nodes = [mean_colour(), helper.make_node("Det", ["mean"], ["cmap"], name="the_det")]
    save(tmp_path / "net.onnx", nodes, {}, {"cmap": 3})
    with pytest.raises(EngineError, match=r"8\.6\.1 does not support Det \(node 'the_det'\)"):
        build_serialized(
            Fake("8.6.1", fails=("parse",)).line, tmp_path / "net.onnx", PROFILE, DEFAULT
        )


def test_a_builder_without_a_gpu_says_so() -> None:
    said = [("ERROR", "CUDA initialization failure with error: 35")]
    with pytest.raises(EngineError, match=r"not start: CUDA initialization failure.*posert doctor"):
        build(Fake("10.3.0", said, fails=("Builder",)))


def test_an_error_that_did_not_fail_the_build_is_told(caplog: pytest.LogCaptureFixture) -> None:
    build(Fake("10.3.0", [("ERROR", "something odd")]))
    warnings = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert warnings == ["TensorRT 10.3.0 built the engine and reported an error: something odd"]


def test_what_progress_raises_ends_the_build_and_is_raised() -> None:
    def stop(phase: str, done: float) -> None:
        raise KeyboardInterrupt(f"{phase} {done}")

    with pytest.raises(KeyboardInterrupt, match=r"Building engine 0\.0"):
        build(Fake("10.3.0"), progress=stop)


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_ctrl_c_on_the_way_into_a_callback_is_not_lost(version: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[float] = []
    fake = Fake(version, signal=signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build(fake, progress=lambda phase, done: seen.append(done))
    assert not seen  # it was asked to stop at once, where it can be
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_handler_of_the_program_is_called() -> None:
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    try:
        assert build(Fake("10.3.0", signal=signal.SIGTERM)) == b"an engine"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert numbers == [signal.SIGTERM]


def test_a_build_in_another_thread_leaves_signals_alone() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(build, Fake("10.3.0")).result()


def test_a_line_without_a_progress_monitor_builds_without() -> None:
    seen: list[float] = []
    assert build(Fake("8.6.1"), progress=lambda phase, done: seen.append(done))
    assert not seen


def test_an_error_that_is_kept_does_not_keep_the_builder() -> None:
    fake = Fake("10.3.0", fails=("profile",))
    with pytest.raises(EngineError) as caught:
        build(fake)
    assert caught.value.__traceback__ is not None
    assert [builder() for builder in fake.builders] == [None]


@pytest.mark.parametrize("fails", [(), ("build",)])
def test_garbage_waits_while_tensorrt_works(fails: tuple[str, ...]) -> None:
    seen: list[bool] = []
    with suppress(EngineError):
        build(Fake("10.3.0", fails=fails), progress=lambda *_: seen.append(gc.isenabled()))
    assert seen
    assert not any(seen)
    assert gc.isenabled()


class TestTimingCache:
    def test_it_is_kept_for_the_next_build(self, tmp_path: Path, caplog: Any) -> None:
        path = tmp_path / "caches" / "timing.cache"
        fake = Fake("8.6.1")
        build(fake, timing_cache=path)
        assert fake.known_timings == b""
        build(fake, timing_cache=path)
        assert fake.known_timings == b"timings of this GPU"
        assert [f.name for f in path.parent.iterdir()] == ["timing.cache"]
        assert not caplog.records

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"\x00garbage", "Failed to deserialize"), (b"timings of another GPU", "another GPU")],
    )
    def test_one_that_does_not_fit_is_replaced_with_a_line(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
    ) -> None:
        path = tmp_path / "timing.cache"
        path.write_bytes(content)
        fake = Fake("10.3.0")
        assert build(fake, timing_cache=path)
        assert fake.known_timings == b""
        assert path.read_bytes() == b"timings of this GPU"
        assert len(caplog.records) == 1
        assert reason in caplog.text

    def test_where_it_cannot_be_written_the_engine_is_delivered(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        assert build(Fake("10.3.0"), timing_cache=tmp_path / "file" / "timing.cache")
        assert "the next build is slower" in caplog.text

    def test_its_complaint_is_no_reason_of_a_later_failure(self, tmp_path: Path) -> None:
        (tmp_path / "timing.cache").write_bytes(b"garbage")
        fake = Fake("10.3.0", [("ERROR", "out of memory")], fails=("build",))
        with pytest.raises(EngineError, match="out of memory"):
            build(fake, timing_cache=tmp_path / "timing.cache")
        assert (tmp_path / "timing.cache").read_bytes() == b"garbage"


class TestLoading:
    def test_a_line_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        with pytest.raises(
            EngineError, match=r"TensorRT is not installed; .*--system-site-packages"
        ):
            load_tensorrt("tensorrt")

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("raise ImportError('libnvinfer.so.10: cannot open')", "does not load: libnvinfer"),
            ("import surely_not_there", "does not load: No module named 'surely_not_there'"),
            ("raise OSError('libcudart.so.12: version')", "does not load: libcudart"),
            ("__version__ = '10.3.0'", "has no builder here"),
        ],
    )
    def test_a_line_that_is_broken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
    ) -> None:
        (tmp_path / "tensorrt.py").write_text(source)
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(EngineError, match=message):
            load_tensorrt("tensorrt")
        sys.modules.pop("tensorrt", None)


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (
            LOGGED,
            "Internal Error (Could not find any implementation for node {ForeignNode[a...b]})",
        ),
        ("4: [network.cpp::validate::3015] Error Code 4: Internal Error (x)", "Internal Error (x)"),
        ("two\n  lines", "two lines"),
        ("long " * 100, ("long " * 48) + "…"),
    ],
)
def test_messages_are_one_short_line(message: str, short: str) -> None:
    assert shortened(message) == short


def test_progress_never_falls_and_ends_whole() -> None:
    seen: list[float] = []
    watch = BuildWatch("TensorRT", lambda phase, done: seen.append(done))
    watch.started("build", None, 2)
    watch.started("parse", "build", 4)
    watch.stepped("parse", 1)
    watch.finished("parse")
    watch.stepped("build", 0)
    watch.started("parse", "build", 2)  # a name may come again
    watch.stepped("parse", 0)
    watch.finished("parse")
    watch.finished("build")
    assert seen == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1]


def test_an_interrupt_in_the_log_is_raised_after_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = BuildWatch("TensorRT")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logging.Logger, "log", interrupted)
    tell(make_logger(Fake("10.3.0").line.module, watch), [("INFO", "hello")])
    with pytest.raises(KeyboardInterrupt):
        watch.made(object(), "nothing")
