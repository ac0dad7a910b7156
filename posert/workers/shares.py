"""How many processes share the sources of a run, which sources each has, and on which GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from posert.building.files import ENDING
from posert.errors import ConfigError
from posert.gpu import gpus, only, why_no_gpu
from posert.manifest import manifest_beside
from posert.runtime.cores import usable_cores
from posert.runtime.engine import BACKENDS, why_not
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
    chosen = chosen_gpus(settings)
    count = min(len(chosen) or settings.processes or 1, max(1, len(inputs)))
    if settings.processes == 1:
        count = 1
    if count > 1 and (single := _needs_one(settings)):
        if settings.processes is not None or settings.gpus is not None:
            what = "processes" if settings.processes is not None else "gpus"
            shown = settings.processes or ",".join(map(str, settings.gpus or ()))
            raise ConfigError(
                f"{what} is {shown}", got=f"{single}, which one process makes",
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
    """``inputs`` in ``count`` shares that are about as much work.

    Files by their bytes, the largest first; live sources, which go on whatever else there is, by
    their number.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    sizes = {i: _size(name) for i, name in enumerate(inputs) if not is_address(name)}
    loads = [0] * count  # bytes of files
    for i in sorted(sizes, key=lambda i: -sizes[i]):
        least = min(range(count), key=lambda share: (loads[share], len(shares[share])))
        shares[least].append(i)
        loads[least] += sizes[i]
    live = [0] * count
    for i in (i for i in range(len(inputs)) if i not in sizes):
        least = min(range(count), key=lambda share: (live[share], loads[share]))
        shares[least].append(i)
        live[least] += 1
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


def chosen_gpus(settings: RunSettings) -> list[int]:
    """The numbers of the GPUs to be used; none where the CPU is.

    Raises:
        ConfigError: one that is asked for is not here, or nothing would use it.
        EngineError: an engine of the user's own has no manifest.
    """
    here = len(gpus())
    asked = settings.gpus
    for number in asked or ():
        if number >= here:
            got = f"{here} here" if here else (why_no_gpu() or "none here")
            raise ConfigError(f"gpus: there is no GPU {number}", got=got, fix="see: posert doctor")
    if here and (why := _why_cpu(settings)):
        if asked is not None:
            raise ConfigError(f"gpus: {','.join(map(str, asked))}", got=why, fix="leave gpus out")
        return []
    return list(range(here) if asked is None else asked)


def _why_cpu(settings: RunSettings) -> str:
    """What makes a machine with GPUs use its CPU, as far as can be told before; else nothing."""
    if settings.backend == "onnxruntime":
        return "backend onnxruntime, which uses the CPU"
    if settings.backend != "auto":
        return ""
    if settings.model.endswith(ENDING):
        made_for = manifest_beside(Path(settings.model)).backend
        return "an engine for the CPU" if made_for == "onnxruntime" else ""
    usable = any(why_not(each) is None for each in BACKENDS if each != "onnxruntime")
    return "" if usable else "no backend that works here on a GPU (see: posert doctor)"


def _needs_one(settings: RunSettings) -> str:
    """What of all sources together only one process can make, in words."""
    if settings.tile is not None:
        return "wall of all sources (--tile)"
    return "contact sheet (--contact-sheet)" if settings.contact_sheet is not None else ""


def _size(name: str) -> int:
    """Bytes of a file; 0 of what is not there."""
    try:
        return Path(name).stat().st_size
    except (OSError, ValueError):
        return 0
