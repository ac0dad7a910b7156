"""A model's estimator: its card and parser around an engine of any backend and form."""

from __future__ import annotations

from posert.model_card import ModelCard
from posert.postprocess.parser import parse
from posert.postprocess.tensors import parse_tensors
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine
from posert.runtime.estimator import Estimator
from posert.runtime.preprocess import check_size
from posert.settings import RunSettings
from posert.types import People, PoseMaps, PoseOutput


def make_estimator(
    card: ModelCard, topology: Topology, engine: Engine, settings: RunSettings
) -> Estimator:
    """The estimator of a network on any engine, a replayed one too.

    Raises:
        ConfigError: the input size or a parser setting is wrong.
    """
    size = check_size(card.input, settings.input_size)
    parser = settings.parser_settings(card)

    def people_of(output: PoseOutput) -> People:
        if isinstance(output, PoseMaps):
            return parse(output.cmap, output.paf, topology, parser)
        return parse_tensors(output, topology, parser)

    return Estimator(card, engine, size, people_of)
