"""The seam to inference: the Engine protocol and the table of lazily loaded backends."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol, runtime_checkable

from posert.errors import EngineError, nearest
from posert.gpu import first_gpu
from posert.manifest import Backend, EngineFile, Form
from posert.model_card import InputSize, ModelCard
from posert.runtime.cuda import INSTALL_PYCUDA
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.device.placing import Placed, place
from posert.runtime.ort import OrtEngine
from posert.types import Images, Letterbox, PoseOutput


class Engine(Protocol):
    """A network ready to run. ``infer`` may be called from ``workers`` threads at once."""

    name: str  # backend, device, precision and form, for the report
    workers: int  # threads that together keep the device busy
    batch: int  # pictures a call that serve it best, where so many wait

    @property
    def form(self) -> Form:
        """Whether ``infer`` returns maps or, the compact form, peaks and link scores."""
        ...

    def infer(self, frames: Images) -> list[PoseOutput]:
        """What the network says of each picture of ``frames``, uint8 (N, H, W, 3) BGR.

        Raises:
            EngineError: the backend failed; its own words are in the message.
        """
        ...


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine that takes pictures where a GPU's decoder left them; ask ``device_engine``."""

    def infer_on_device(self, pictures: Sequence[Placed]) -> list[PoseOutput]:
        """What the network says of each of ``pictures``, all of one input size.

        Returns when they have been read: their memory may then change.

        Raises:
            EngineError: the backend failed; its own words are in the message.
        """
        ...


def device_engine(engine: Engine) -> DeviceEngine | None:
    """``engine`` as one that takes pictures on the device, None where it cannot.

    The maps form cannot: its input is normalised on the host.
    """
    return engine if engine.form == "compact" and isinstance(engine, DeviceEngine) else None


def on_cpu(engine: Engine) -> bool:
    """Whether ``engine`` computes on the cores that decode, draw and encode too."""
    return isinstance(engine, OrtEngine)


def infer_pictures(
    engine: DeviceEngine, pictures: Sequence[Nv12Picture], card: ModelCard, size: InputSize
) -> list[tuple[PoseOutput, Letterbox]]:
    """What the network says of each of ``pictures``, of any sizes, and how to get to its pixels.

    Calls the engine once for each size of its input that they are fitted to.

    Raises:
        EngineError: the backend failed.
    """
    placed = [place(picture, card.input, size, card.outputs.stride) for picture in pictures]
    found: dict[int, PoseOutput] = {}
    for full in dict.fromkeys(each.size for each in placed):
        indices = [i for i, each in enumerate(placed) if each.size == full]
        outputs = engine.infer_on_device([placed[i] for i in indices])
        found.update(zip(indices, outputs, strict=True))
    return [(found[i], each.letterbox) for i, each in enumerate(placed)]


# name -> (module, function taking a card, a file and a number of threads), auto's preference first
BACKENDS: Final[dict[Backend, tuple[str, str]]] = {
    "tensorrt": ("posert.runtime.trt", "open_tensorrt"),
    "tensorrt-rtx": ("posert.runtime.trt", "open_tensorrt_rtx"),
    "onnxruntime-cuda": ("posert.runtime.ort_cuda", "open_cuda"),
    "onnxruntime": ("posert.runtime.ort", "open_cpu"),
}
INSTALL_CUDA: Final = (
    "pip uninstall onnxruntime, then pip install onnxruntime-gpu: they share a folder"
)
_RTX_GPUS: Final = "7.5 to 8.9 and 12.x"  # Turing to Ada, and Blackwell but for its B100 to B300
_MODULES: Final[dict[Backend, str]] = {
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx",
    "onnxruntime-cuda": "onnxruntime",
    "onnxruntime": "onnxruntime",
}


def open_engine(
    card: ModelCard, file: EngineFile, backend: Backend, workers: int | None = None
) -> Engine:
    """The engine of ``file``, which was made for ``backend``.

    Raises:
        EngineError: the backend does not work here.
        ModelError: the file is refused.
    """
    module, function = BACKENDS[backend]
    engine: Engine = getattr(import_module(module), function)(card, file, workers)
    return engine


def why_not(backend: Backend) -> str | None:
    """Why ``backend`` cannot work here; None where it should."""
    module = _MODULES[backend]
    if find_spec(module) is None:
        return f"there is no Python module {module}"
    if backend == "onnxruntime":
        return None
    gpu = first_gpu()
    if gpu is None:
        return "there is no NVIDIA GPU"
    if backend == "onnxruntime-cuda":
        no_provider = f"this onnxruntime has no CUDA provider ({INSTALL_CUDA})"
        return None if _has_cuda_provider() else no_provider
    if backend == "tensorrt-rtx" and not _runs_rtx(gpu.compute_capability):
        return f"TensorRT-RTX runs on compute capability {_RTX_GPUS}, not {gpu.compute_capability}"
    if find_spec("pycuda") is None:
        return f"there is no Python module pycuda ({INSTALL_PYCUDA})"
    return None


def _runs_rtx(compute_capability: str) -> bool:
    major, minor = map(int, compute_capability.split("."))
    return (7, 5) <= (major, minor) <= (8, 9) or major == 12


def _has_cuda_provider() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def check_backend(name: str) -> Backend:
    """``name`` as the backend it names.

    Raises:
        EngineError: it is none; with the nearest known one.
    """
    for backend in BACKENDS:
        if name == backend:
            return backend
    known = ["auto", *BACKENDS]
    raise EngineError(f"backend{nearest(name, known)}", got=name, expected=known)
