"""The onnxruntime adapter for CPUs, and what both of its adapters share."""

from __future__ import annotations

from typing import Any

from posert.errors import EngineError, ModelError, first_line
from posert.manifest import EngineFile, Form
from posert.model_card import ModelCard
from posert.runtime.cores import usable_cores
from posert.runtime.network_io import NetworkIO
from posert.types import Images, PoseOutput


class OrtEngine:
    """An onnxruntime session of a network; thread-safe."""

    def __init__(self, io: NetworkIO, session: Any, name: str, workers: int) -> None:
        self.name = name
        self.workers = workers
        self.batch = 1  # more at once gain nothing on a CPU
        self._io = io
        self._session = session

    @property
    def form(self) -> Form:
        return self._io.form

    def infer(self, frames: Images) -> list[PoseOutput]:
        io = self._io
        try:
            values = self._session.run(list(io.outputs), {io.input: io.feed(frames)})
        except Exception as e:
            raise EngineError(f"{self.name} failed: {first_line(e)}") from e
        return io.pictures(dict(zip(io.outputs, values, strict=True)), frames)


def open_cpu(card: ModelCard, file: EngineFile, workers: int | None = None) -> OrtEngine:
    """One thread a call and a call a core: two cores gave 1.4 times the frames of one call on both.

    Raises:
        EngineError: onnxruntime is not installed.
        ModelError: onnxruntime refuses the ONNX.
    """
    ort = onnxruntime()
    count = workers or usable_cores()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = open_session(ort, file, options, ["CPUExecutionProvider"])
    name = f"onnxruntime (CPU, {file.precision}, {file.form} form)"
    return OrtEngine(NetworkIO.of(card, file), session, name, count)


def onnxruntime() -> Any:
    """The module.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as e:
        raise EngineError("onnxruntime is not installed", fix="pip install onnxruntime") from e
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def open_session(ort: Any, file: EngineFile, options: Any, providers: list[Any]) -> Any:
    """An InferenceSession of ``file``.

    Raises:
        ModelError: onnxruntime refuses the ONNX.
    """
    try:
        return ort.InferenceSession(str(file.path), options, providers=providers)
    except Exception as e:
        raise ModelError(
            f"{file.path}: onnxruntime refuses it: {first_line(e)}",
            fix="export the model again or compare it with its card (posert models show)",
        ) from e
