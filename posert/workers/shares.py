"""How many processes share the sources of a run, which sources each has, and on which GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from posert.errors import ConfigError
from posert.gpu import gpus, only, why_no_gpu
from posert.runtime.cores import usable_cores
from posert.runtime.sources.addresses import is_address
from posert.runtime.sources.inputs import is_picture
from posert.settings import RunSettings

log = logging.getLogger(__name__)

_STREAMS_FOR_PARSERS: Final = 8  # fewer do not need them
_STREAMS_A_PARSER: Final = 4
_MOST_PARSERS: Final = 8  # of one GPU


@dataclass(frozen=True, slots=True)
class Share:
    """The sources of one process."""

    sources: tuple[int, ...]  # their places among all
    gpu: int | None = None  # its number among ``gpus()``; None: as it is chosen without processes


def plan_shares(inputs: Sequence[str], settings: RunSettings) -> list[Share]:
    """One share a process; none where this process is to run all of ``inputs`` itself.

    A GPU has one process, beside which others may parse (``parsers_wanted``): several processes on
    one GPU take turns, and that costs more than it gains. Without a GPU there are as many as
    are asked for.

    Raises:
        ConfigError: the GPUs that are asked for are not here, or what is asked for needs one
            process.
    """
    chosen = _gpus(settings)
    count = min(len(chosen) or settings.processes or 1, max(1, len(inputs)))
    if settings.processes == 1:
        count = 1
    if count > 1 and (single := _needs_one(settings)):
        if settings.processes is not None or settings.gpus is not None:
            what = "processes" if settings.processes is not None else "gpus"
            raise ConfigError(
                f"{what} is {getattr(settings, what)}", got=f"{single}, which one process makes",
                fix="leave out one of the two",
            )  # fmt: skip
        log.warning("one GPU of %d is used: one process makes the %s", len(chosen), single)
        count = 1
    if count == 1 and chosen[:1] in ([], [0]):
        return []
    dealt = deal(inputs, count)
    where = [chosen[i] if chosen else None for i in range(len(dealt))]
    return [Share(*each) for each in zip(dealt, where, strict=True)]


def parsers_wanted(inputs: Sequence[str], settings: RunSettings, gpus_: int = 1) -> int:
    """How many processes parse beside the one that has the GPU; 0: it does so itself.

    ``inputs`` are those of this one GPU, of ``gpus_`` that share the cores.
    """
    if settings.processes is not None:
        return settings.processes if settings.processes > 1 else 0
    videos = sum(not is_picture(name) for name in inputs)
    if videos < _STREAMS_FOR_PARSERS:
        return 0
    cores = usable_cores() // gpus_
    return min(_MOST_PARSERS, cores // 2, videos // _STREAMS_A_PARSER)


def deal(inputs: Sequence[str], count: int) -> list[tuple[int, ...]]:
    """``inputs`` in ``count`` shares that are about as much work: the largest file first."""
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, 0)] * count  # bytes of files, number of sources
    sizes = [_size(name) for name in inputs]
    for i in sorted(range(len(inputs)), key=lambda i: -sizes[i]):
        least = min(range(count), key=lambda share: loads[share])
        shares[least].append(i)
        size, number = loads[least]
        loads[least] = size + sizes[i], number + 1
    return [tuple(sorted(share)) for share in shares if share]


def of_share(settings: RunSettings, inputs: Sequence[str], share: Share, count: int) -> RunSettings:
    """``settings`` for one of ``count`` processes, which share cores and files under way."""
    workers, at_once, processes = settings.workers, settings.at_once, 1
    if share.gpu is not None and settings.processes is not None:
        processes = max(1, settings.processes // count)
    elif share.gpu is not None:
        mine = [inputs[i] for i in share.sources]
        processes = max(1, parsers_wanted(mine, settings, count))
    elif workers is None:
        workers = max(1, usable_cores() // count)
    if at_once is not None:
        at_once = -(-at_once // count)
    return replace(settings, workers=workers, at_once=at_once, processes=processes)


def data_paths(settings: RunSettings) -> dict[str, Path | None]:
    """Where data of all sources go, by the settings' names."""
    return {
        "jsonl": settings.jsonl,
        "csv": settings.csv,
        "coco": settings.coco,
        "openpose_json": settings.openpose_json,
    }


def environment(share: Share) -> dict[str, str]:
    """What a worker's environment has beside that of the run: the GPU that it sees."""
    return only(share.gpu) if share.gpu is not None else {}


def _gpus(settings: RunSettings) -> list[int]:
    """The GPUs to be used; none where the CPU is."""
    if settings.backend == "onnxruntime":
        return []
    here = len(gpus())
    if settings.gpus is None:
        return list(range(here))
    for number in settings.gpus:
        if number >= here:
            got = f"{here} here" if here else (why_no_gpu() or "none here")
            raise ConfigError(f"gpus: there is no GPU {number}", got=got, fix="see: posert doctor")
    return list(settings.gpus)


def _needs_one(settings: RunSettings) -> str:
    """What of all sources together only one process can make, in words."""
    if settings.tile is not None:
        return "wall of all sources (--tile)"
    return "contact sheet (--contact-sheet)" if settings.contact_sheet is not None else ""


def _size(name: str) -> int:
    """Bytes of a file; 0 of a live source, and of what is not there."""
    if is_address(name):
        return 0
    try:
        return Path(name).stat().st_size
    except (OSError, ValueError):
        return 0
