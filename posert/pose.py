"""A model ready to find people in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posert.engine_builder.card import find_card, read_topology, verify_file
from posert.engine_builder.onnx_check import check_onnx
from posert.model_card import ModelCard
from posert.postprocess.parser import parse
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine, open_engine
from posert.runtime.estimator import Estimator
from posert.runtime.preprocess import check_size
from posert.runtime.sources.pictures import as_bgr
from posert.settings import RunSettings, read_settings
from posert.types import People, PoseMaps


class Pose:
    """A pose network with everything its card says around it.

    Example::

        import cv2, posert

        pose = posert.Pose("pose-small")
        people = pose(cv2.imread("street.jpg"))
        print(len(people), "people")
        print(people.keypoints[0])  # (C, 3): x px, y px, score; NaN where not found
        print(pose.topology.keypoints)  # the C names

    Args:
        model: a name that ``posert models`` lists, a model's folder, its card.yaml or its ONNX.
        backend: ``auto`` (the best that works here), ``onnxruntime`` or ``onnxruntime-cuda``.
        settings: any other field of ``posert.RunSettings``: input_size, threshold, min_parts, ...

    Raises:
        ModelError: no such model, or its files contradict each other.
        EngineError: the backend does not work here.
        ConfigError: a setting is wrong.
    """

    def __init__(
        self, model: str | Path = "pose-small", backend: str = "auto", **settings: Any
    ) -> None:
        chosen = read_settings(None, {**settings, "model": str(model), "backend": backend})
        self.card = find_card(chosen.model)
        self.topology = read_topology(self.card.topology_path)
        verify_file(self.card)
        check_onnx(self.card, self.topology)
        self.engine = open_engine(self.card, chosen.backend, chosen.workers)
        self.estimator = make_estimator(self.card, self.topology, self.engine, chosen)

    def __call__(self, image: npt.NDArray[np.generic]) -> People:
        """The people of ``image``, keypoints float32 (P, C, 3): x px, y px, score; NaN missing.

        Args:
            image: (H, W, 3) BGR uint8 as OpenCV reads it; grey, BGRA and 16-bit are converted.

        Raises:
            InputError: it is no picture.
            EngineError: the backend failed.
        """
        return self.estimator(as_bgr(image))


def make_estimator(
    card: ModelCard, topology: Topology, engine: Engine, settings: RunSettings
) -> Estimator:
    """The estimator of a network on any engine, a replayed one too.

    Raises:
        ConfigError: the input size or a parser setting is wrong.
    """
    size = check_size(card.input, settings.input_size)
    parser = settings.parser_settings(card)

    def people_of(maps: PoseMaps) -> People:
        cmap, paf = (np.ascontiguousarray(m, np.float32) for m in (maps.cmap, maps.paf))
        return parse(cmap, paf, topology, parser)

    return Estimator(card, engine, size, people_of)
