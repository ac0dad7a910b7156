"""What this machine has of what PoseRT can use, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal

from posert.config import environment
from posert.errors import PosertError
from posert.manifest import Line, installed_version
from posert.runtime.engine import BACKENDS, why_not

_TENSORRT: Final[tuple[Line, ...]] = ("tensorrt", "tensorrt-rtx")
State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's table; ``broken`` means that PoseRT does not work here."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> Iterator[Check]:
    """Every check in turn; none raises."""
    for look in (_python, _opencv, _gstreamer, _ffmpeg):
        yield _guarded(look)
    yield from _reads()
    for look in (
        _x264, _nvenc, _gst_encoders,
        _gpu, _onnxruntime, _cuda_provider, _tensorrt, _pycuda, _backends, _engine_cache,
        _self_test,
    ):  # fmt: skip
        yield _guarded(look)


def _guarded(look: Callable[[], Check]) -> Check:
    """A check that a broken installation cannot stop from being told."""
    name = look.__name__.strip("_").replace("_", " ")
    try:
        return look()
    except PosertError as e:
        return Check(name, "broken", str(e))
    except (ImportError, OSError, AttributeError, RuntimeError) as e:
        return Check(name, "broken", f"{type(e).__name__}: {e}", "install it again")


def _python() -> Check:
    from posert.version import __version__

    machine = f"{platform.machine()}, {platform.freedesktop_os_release().get('PRETTY_NAME', '?')}"
    return Check("Python", "ok", f"{sys.version.split()[0]}, posert {__version__}, {machine}")


def _opencv() -> Check:
    import cv2

    return Check("OpenCV", "ok", str(cv2.__version__))


def _gstreamer() -> Check:
    from posert.runtime.elements import available
    from posert.runtime.video_io import why_no_gst

    if (why := why_no_gst()) is None:
        return Check("GStreamer in OpenCV", "ok", f"works, with {len(available())} elements")
    return Check(
        "GStreamer in OpenCV",
        "missing",
        f"{why}; files, cameras and streams go through FFmpeg",
        "OpenCV from pip never has it; Debian's python3-opencv and JetPack's OpenCV do "
        "(make setup SYSTEM_OPENCV=1)",
    )


def _reads() -> Iterator[Check]:
    """For each kind of input what ``--io auto`` takes, and why not the others."""
    from posert.runtime.video_io import KINDS, choose, why_not_others

    for kind in KINDS:
        try:
            library = choose("auto", kind)
        except PosertError as e:
            yield Check(f"reads {kind}", "missing", str(e))
            continue
        others = "; ".join(f"{name}: {why}" for name, why in why_not_others(library, kind).items())
        yield Check(f"reads {kind}", "ok", f"{library} ({others})" if others else library)


def _gst_encoders() -> Check:
    from posert.runtime.pipelines.writing import ENCODERS
    from posert.runtime.video_io import why_no_encoder, why_no_gst

    if (why := why_no_gst()) is not None:
        return Check("GStreamer's encoders", "missing", why)
    reasons = {name: why_no_encoder(name) for name in ENCODERS}
    lacking = "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)
    usable = [name for name, why in reasons.items() if why is None]
    if not usable:
        return Check("GStreamer's encoders", "missing", lacking)
    there = f"{', '.join(usable)} (--encoder NAME)"
    return Check("GStreamer's encoders", "ok", f"{there}; not {lacking}" if lacking else there)


def _ffmpeg() -> Check:
    import av

    versions = ".".join(str(n) for n in av.library_versions["libavcodec"])
    return Check("FFmpeg", "ok", f"PyAV {av.__version__}, libavcodec {versions}")


def _x264() -> Check:
    from posert.runtime.sinks.video import works

    if works("libx264"):
        return Check("encoder libx264", "ok", "works")
    return Check("encoder libx264", "broken", "not in this FFmpeg", "pip install --force av")


def _nvenc() -> Check:
    from posert.runtime.sinks.video import works

    if works("h264_nvenc"):
        return Check("encoder h264_nvenc", "ok", "works, and is used")
    return Check(
        "encoder h264_nvenc",
        "missing",
        "no GPU here that encodes; libx264 is used",
        "A100, H100, H200 and Orin Nano have no encoder: nothing to do there",
    )


def _gpu() -> Check:
    from posert.gpu import gpus, why_no_gpu

    if why := why_no_gpu():
        advice = "install the driver" if why == "no driver" else "docker run --gpus all ..."
        return Check("NVIDIA GPU", "missing", f"{why}; the CPU is used", advice)
    first = gpus()[0]
    return Check(
        "NVIDIA GPU",
        "ok",
        f"{len(gpus())} x {first.name}, compute capability {first.compute_capability}, "
        f"{first.driver}",
    )


def _onnxruntime() -> Check:
    import onnxruntime

    return Check("onnxruntime", "ok", str(onnxruntime.__version__))


def _cuda_provider() -> Check:
    import onnxruntime

    from posert.runtime.engine import INSTALL_CUDA

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return Check("onnxruntime on CUDA", "ok", "provider is here")
    return Check(
        "onnxruntime on CUDA",
        "missing",
        "this onnxruntime is for the CPU",
        f"with an NVIDIA GPU: {INSTALL_CUDA}",
    )


def _tensorrt() -> Check:
    found = [f"{line} {v}" for line in _TENSORRT if (v := installed_version(line))]
    if not found:
        return Check(
            "TensorRT",
            "missing",
            "no Python module tensorrt or tensorrt_rtx",
            "it comes with JetPack and NVIDIA's TensorRT containers; for RTX GPUs: "
            "pip install 'posert[rtx]'",
        )
    return Check("TensorRT", "ok", ", ".join(found))


def _pycuda() -> Check:
    if find_spec("pycuda") is not None:
        import pycuda

        return Check("pycuda", "ok", str(pycuda.VERSION_TEXT))
    return Check(
        "pycuda",
        "missing",
        "TensorRT engines do not run, and onnxruntime copies more than it must",
        "with an NVIDIA GPU and nvcc: pip install 'posert[cuda]'",
    )


def _backends() -> Check:
    usable = [backend for backend in BACKENDS if why_not(backend) is None]
    if not usable:
        return Check("backends", "broken", "none works here", "pip install onnxruntime")
    return Check("backends", "ok", f"{', '.join(usable)}; auto takes the first that does its work")


def _engine_cache() -> Check:
    folder = environment().cache
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        return Check("engine cache", "ok", str(folder))
    return Check(
        "engine cache",
        "missing",
        f"{folder} cannot be written: engines are built anew for every run",
        "set POSERT_CACHE to a folder that can",
    )


def _self_test() -> Check:
    """The default model on the shipped clip."""
    from posert.pose import Pose
    from posert.self_test import REQUIRED, run_self_test

    pose = Pose()
    result = run_self_test(pose)
    found = (
        f"{pose.card.name} on {pose.engine.name} finds {result.keypoints_found:.0%} of the visible "
        f"keypoints of {result.people} people in {result.frames} frames (at least {REQUIRED:.0%} "
        "expected)"
    )
    if result.keypoints_found >= REQUIRED:
        return Check("self-test", "ok", found)
    return Check("self-test", "broken", found, "try --backend onnxruntime; reinstall posert")
