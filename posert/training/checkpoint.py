"""Checkpoints: read without running anything in them, and put into the network they fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

from posert.errors import EngineError, ModelError
from posert.training.networks import ARCHITECTURES, build_network
from posert.training.pytorch import import_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

_WHAT: Final = "reading a checkpoint"
_SHOWN: Final = 2  # names of keys in a message
_COUNTER: Final = ".num_batches_tracked"  # of no effect on results; old checkpoints lack it
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, eq=False)
class PoseNetwork:
    """A network with the weights of a checkpoint, ready to run."""

    architecture: str
    keypoints: int
    links: int
    module: nn.Module  # float32, on the CPU, in evaluation mode

    def on_gpu(self, size: tuple[int, int], batch: int = 1) -> tuple[nn.Module, Tensor]:
        """The network on the GPU, and an input float32 (batch, 3, *size) there.

        Raises:
            EngineError: PyTorch finds no GPU.
        """
        torch = import_torch(_WHAT)
        if not torch.cuda.is_available():
            raise EngineError("PyTorch finds no GPU", fix="posert doctor")
        return self.module.cuda(), torch.zeros(batch, 3, *size, device="cuda")


def load_network(path: Path, architecture: str | None = None) -> PoseNetwork:
    """The network in the checkpoint ``path``; without ``architecture``, the one whose keys it has.

    The numbers of keypoints and links are the checkpoint's.

    Raises:
        ConfigError: there is no such architecture.
        EngineError: PyTorch is not installed, or too old to read the file safely.
        ModelError: the file is no checkpoint of the architecture, or holds more than weights.
    """
    torch = import_torch(_WHAT)
    state = read_state(path)
    keypoints, links = _counts(path, state)
    if architecture is None:
        architecture = _fitting(path, state, keypoints, links)
    if differences := _differences(state, architecture, keypoints, links):
        fits = [a for a in ARCHITECTURES if not _differences(state, a, keypoints, links)]
        raise ModelError(
            f"{path}: no weights of {architecture}: {'; '.join(differences)}",
            fix=f"--arch {fits[0]} fits" if fits else "it is of no architecture known here",
        )
    with torch.device("meta"):  # the weights come from the file: none are made first
        module = build_network(architecture, keypoints, links)
    counters = {k: torch.tensor(0) for k in module.state_dict() if k.endswith(_COUNTER)}
    module.load_state_dict(counters | state, assign=True)
    return PoseNetwork(architecture, keypoints, links, module.float().eval())


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in ``path`` by name, on the CPU; PyTorch's zip format and the one before it.

    Weights under ``state_dict`` and names behind ``module.`` (DataParallel) are found too.

    Raises:
        EngineError: PyTorch is not installed, or too old to read the file safely.
        ModelError: the file is missing or damaged, or holds more than weights.
    """
    torch = import_torch(_WHAT)
    state = _mapping(path, _load(torch, path))
    if "state_dict" in state:
        state = _mapping(path, state["state_dict"])
    if isinstance(state.get("engine"), (bytes, bytearray)):
        raise ModelError(
            f"{path}: holds a TensorRT engine of torch2trt, no weights",
            fix=f"posert build-engine {path}",
        )
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ModelError(
                f"{path}: {str(name)[:80]!r}",
                got=f"a {type(value).__name__}",
                expected="a tensor, as in a state dict",
                fix="save it with torch.save(model.state_dict(), ...)",
            )
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name[len(prefix) :]: value for name, value in state.items()}


def _mapping(path: Path, value: object) -> dict[Any, Any]:
    if not isinstance(value, dict) or not value:
        kind = type(value).__name__
        raise ModelError(f"{path}", got=f"a {kind}", expected="a state dict: weights by name")
    return dict(dict.items(value))  # without the attributes a pickle may have set


def _load(torch: Any, path: Path) -> Any:
    """What is in the file, made by PyTorch's loader of weights, which runs nothing."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: cannot be read", got=e.strerror) from e
    try:
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except UnpicklingError as e:
        asked = _REFUSED.search(str(e))
        if asked is None:
            raise _damaged(path) from e
        raise ModelError(
            f"{path}: refused, nothing in it was run: it asks for {asked[1]}",
            expected="weights alone",
            fix="save it with torch.save(model.state_dict(), ...)",
        ) from e
    except Exception as e:  # of the loader, on bytes that are no checkpoint
        raise _damaged(path) from e


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path}: is damaged or no PyTorch checkpoint", fix="copy it again")


def _counts(path: Path, state: dict[str, Tensor]) -> tuple[int, int]:
    """Keypoints and links, by the shapes of the two last convolutions."""
    counts = []
    for output in ("cmap", "paf"):
        names = (f"1.{output}_conv.weight", f"1.{output}_conv.1.weight")  # of _att, of the other
        weights = [state[name] for name in names if name in state]
        if len(weights) != 1 or weights[0].ndim != 4 or not len(weights[0]):
            raise ModelError(
                f"{path}: no weights of a trt_pose network",
                got=f"keys as {', '.join(list(state)[:_SHOWN])}",
                expected=f"{names[0]} or {names[1]}",
            )
        counts.append(len(weights[0]))
    if counts[1] % 2:
        raise ModelError(f"{path}: paf channels", got=counts[1], expected="two a link")
    return counts[0], counts[1] // 2


def _fitting(path: Path, state: dict[str, Tensor], keypoints: int, links: int) -> str:
    for architecture in ARCHITECTURES:
        if not _differences(state, architecture, keypoints, links):
            return architecture
    raise ModelError(
        f"{path}: the weights fit no architecture known here",
        fix="--arch NAME says what is missing for that one",
    )


def _differences(
    state: dict[str, Tensor], architecture: str, keypoints: int, links: int
) -> list[str]:
    """How ``state`` differs from the architecture's; empty if it fits."""
    torch = import_torch(_WHAT)
    with torch.device("meta"):  # shapes alone
        wanted = build_network(architecture, keypoints, links).state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith(_COUNTER)]
    unexpected = [k for k in state if k not in wanted]
    reshaped = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    found = ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of another shape"))
    return [f"{len(keys)} keys {how} ({_named(keys)})" for keys, how in found if keys]


def _named(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
