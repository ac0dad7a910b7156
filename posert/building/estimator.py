"""A model's estimator: its card and parser around an engine of any backend and form."""

from __future__ import annotations

from collections.abc import Sequence

from posert.model_card import ModelCard
from posert.postprocess.parser import parse
from posert.postprocess.tensors import parse_batch
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine
from posert.runtime.estimator import Estimator
from posert.runtime.preprocess import check_size
from posert.settings import RunSettings
from posert.types import People, PoseMaps, PoseOutput, PoseTensors


def make_estimator(
    card: ModelCard, topology: Topology, engine: Engine, settings: RunSettings
) -> Estimator:
    """The estimator of a network on any engine, a replayed one too.

    Raises:
        ConfigError: the input size or a parser setting is wrong.
    """
    size = check_size(card.input, settings.input_size)
    parser = settings.parser_settings(card)

    def people_of(outputs: Sequence[PoseOutput]) -> list[People]:
        compact = [output for output in outputs if isinstance(output, PoseTensors)]
        if len(compact) == len(outputs):
            return parse_batch(compact, topology, parser)
        maps = (output for output in outputs if isinstance(output, PoseMaps))
        return [parse(each.cmap, each.paf, topology, parser) for each in maps]

    return Estimator(card, engine, size, people_of)
