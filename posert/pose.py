"""A model ready to find people in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posert.building.choose import open_best
from posert.building.estimator import make_estimator
from posert.building.files import own_size
from posert.engine_builder.card import find_card, read_topology
from posert.runtime.sources.pictures import as_bgr
from posert.settings import read_settings
from posert.types import People


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
        model: a name that ``posert models`` lists, a model's folder, its card.yaml or its ONNX, or
            a file .engine of ``posert build-engine -o``.
        backend: ``auto`` (the best that works here), ``tensorrt``, ``tensorrt-rtx``,
            ``onnxruntime-cuda`` or ``onnxruntime``.
        settings: any other field of ``posert.RunSettings``: input_size, threshold, min_parts, ...

    Raises:
        ModelError: no such model, or its files contradict each other.
        EngineError: the backend does not work here.
        ConfigError: a setting is wrong.
    """

    def __init__(
        self, model: str | Path = "pose-small", backend: str = "auto", **settings: Any
    ) -> None:
        given = {**settings, "model": str(model), "backend": backend}
        chosen = read_settings(None, given)
        self.card = find_card(chosen.model)
        chosen = own_size(chosen)
        self.topology = read_topology(self.card.topology_path)
        self.engine = open_best(self.card, self.topology, chosen)
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
