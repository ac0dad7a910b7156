"""Model cards and topologies: read, validated, found by name, held against the ONNX."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from posert.config import build, environment, read_mapping, shipped
from posert.errors import ModelError, nearest
from posert.manifest import file_sha256, manifest_beside
from posert.model_card import STRICT, ModelCard
from posert.postprocess.topology import Topology

CARD = "card.yaml"


def read_card(path: Path) -> ModelCard:
    """The card in ``path``, a ``card.yaml``.

    Raises:
        ModelError: it cannot be read, or a key or value is wrong.
    """
    card = build(ModelCard, read_mapping(path, ModelError), str(path), ModelError)
    return replace(card, folder=path.parent)


@dataclass(frozen=True)
class _TopologyFile:
    """trt_pose's JSON (``skeleton`` counts from 1) and the PAF channels where they differ."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    name: str = "person"
    paf_channels: tuple[tuple[int, int], ...] | None = None  # (y, x) of each link
    supercategory: str = ""
    id: int = 1


def read_topology(path: Path) -> Topology:
    """The topology in ``path``; link k uses PAF channels 2k (y) and 2k + 1 (x) unless it says so.

    Raises:
        ModelError: it cannot be read, or names keypoints or channels that do not exist.
    """
    read = build(_TopologyFile, read_mapping(path, ModelError), str(path), ModelError)
    count = len(read.keypoints)
    if twice := [name for name in read.keypoints if read.keypoints.count(name) > 1]:
        raise ModelError(f"{path}: keypoints", got=f"{twice[0]!r} twice", expected="unlike names")
    if bad := [link for link in read.skeleton if not all(1 <= end <= count for end in link)]:
        raise ModelError(f"{path}: skeleton", got=bad[0], expected=f"keypoints 1 to {count}")
    channels = read.paf_channels or tuple((2 * k, 2 * k + 1) for k in range(len(read.skeleton)))
    if sorted(c for pair in channels for c in pair) != list(range(2 * len(read.skeleton))):
        raise ModelError(
            f"{path}: paf_channels", got=channels, expected="each of 2K channels exactly once"
        )
    links = tuple((a - 1, b - 1) for a, b in read.skeleton)
    return Topology(read.name, read.keypoints, links, channels)


def card_paths() -> list[Path]:
    """The cards of all models known here: POSERT_MODELS first, then those that are shipped."""
    roots = (*environment().models, shipped("models"))
    return [path for root in roots for path in sorted(root.glob(f"*/{CARD}"))]


def find_card(model: str) -> ModelCard:
    """The card of a model given by name, by its folder, its card.yaml, its ONNX or an engine of it.

    Raises:
        ModelError: there is no such model, or its card is wrong.
        EngineError: an engine whose manifest is missing or wrong.
    """
    try:
        return _find_card(model)
    except OSError as e:  # of asking whether a file is there
        raise ModelError(
            f"model {model[:80]!r}: cannot be looked up", got=e.strerror, fix="check its path"
        ) from e


def _find_card(model: str) -> ModelCard:
    path = Path(model)
    if path.is_dir() and (path / CARD).is_file():
        return read_card(path / CARD)
    if path.suffix in (".yaml", ".yml"):
        return read_card(path)
    if path.suffix == ".onnx":
        if not (path.parent / CARD).is_file():
            raise ModelError(
                f"{path}: no {CARD} beside it",
                fix="write one (posert models show pose-small prints an example)",
            )
        return replace(read_card(path.parent / CARD), onnx=path.name, sha256=None, variants=())
    if path.suffix == ".engine":
        return _card_of_engine(path)
    by_name = {p.parent.name: p for p in reversed(card_paths())}
    if model not in by_name:
        raise ModelError(
            f"no model {model!r}{nearest(model, by_name)}", fix="posert models lists what is known"
        )
    return read_card(by_name[model])


def _card_of_engine(path: Path) -> ModelCard:
    """The card beside an engine, or the known one of the name in its manifest."""
    if (path.parent / CARD).is_file():
        return read_card(path.parent / CARD)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such engine", fix="posert build-engine -o makes one")
    name = manifest_beside(path).model
    for known in card_paths():
        if name in (known.parent.name, read_card(known).name):
            return read_card(known)
    raise ModelError(
        f"{path}: is of the model {name!r}, which is not known here",
        fix=f"put its {CARD} and topology beside the engine, or its folder in POSERT_MODELS",
    )


def verify_files(card: ModelCard) -> None:
    """Refuse an ONNX that is absent or is not the file of the card; its variants likewise.

    Raises:
        ModelError: a file is missing, or its sha256 is not the card's.
    """
    if not card.onnx_path.is_file():
        raise ModelError(
            f"model {card.name}: {card.onnx_path} is not there",
            fix=f"it comes from {card.source.url} ({card.source.how})",
        )
    _verify(card.onnx_path, card.sha256)
    for variant in card.variants:
        _verify(card.folder / variant.onnx, variant.sha256)


def _verify(path: Path, wanted: str | None) -> None:
    if wanted is None:
        return
    try:
        digest = file_sha256(path)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read", got=e.strerror) from e
    if digest != wanted:
        raise ModelError(
            f"{path}: is damaged or another file",
            got=f"sha256 {digest[:12]}…",
            expected=f"{wanted[:12]}…",
            fix="copy it again, or correct the card",
        )
