"""One picture to its people: pre-processing, network and parser, in source pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from posert.model_card import InputSize, ModelCard
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.engine import Engine, device_engine, infer_pictures
from posert.runtime.preprocess import fit
from posert.runtime.timing import StageTimes
from posert.types import Frame, Image, Letterbox, People, PoseOutput

Parse = Callable[[Sequence[PoseOutput]], list[People]]  # keypoints in map cells
Inferred: TypeAlias = tuple[PoseOutput, Letterbox]  # of a picture; how cells become its pixels


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """A network with all that its card says around it; may be called from several threads."""

    card: ModelCard
    engine: Engine
    size: InputSize
    parse: Parse
    times: StageTimes = field(default_factory=StageTimes)

    def __call__(self, image: Image) -> People:
        """The people of ``image`` (H, W, 3) uint8 BGR, keypoints in its pixels.

        Raises:
            EngineError: the backend failed.
        """
        with self.times.measure("engine"):
            inferred = self.infer(image)
        (people,) = self.parse_batch([inferred])
        return people

    def batch(self, frames: Sequence[Frame]) -> list[People]:
        """The people of each of ``frames``, which may be of several sources and sizes.

        Raises:
            EngineError: the backend failed.
        """
        return self.parse_batch(self.infer_batch(frames))

    def infer_batch(self, frames: Sequence[Frame]) -> list[Inferred]:
        """The first half of ``batch``: the network, whose thread waits for a device."""
        with self.times.measure("engine", len(frames)):
            return self._infer(frames)

    def parse_batch(self, inferred: Sequence[Inferred]) -> list[People]:
        """The second half of ``batch``: the parser, whose thread holds Python's lock."""
        with self.times.measure("parse", len(inferred)):
            found = self.parse([output for output, _ in inferred])
            return [to_source(p, box) for p, (_, box) in zip(found, inferred, strict=True)]

    def _infer(self, frames: Sequence[Frame]) -> list[Inferred]:
        """Pictures on the device stay there where the engine takes them; others are fitted here."""
        engine = device_engine(self.engine)
        there: dict[int, Nv12Picture] = {}
        if engine is not None:
            pictures = ((i, frame.picture) for i, frame in enumerate(frames))
            there = {i: picture for i, picture in pictures if isinstance(picture, Nv12Picture)}
        here = [i for i in range(len(frames)) if i not in there]
        found = dict(zip(here, self._infer_images([frames[i].image for i in here]), strict=True))
        if engine is not None and there:
            outputs = infer_pictures(engine, list(there.values()), self.card, self.size)
            found.update(zip(there, outputs, strict=True))
        return [found[i] for i in range(len(frames))]

    def _infer_images(self, images: list[Image]) -> list[Inferred]:
        """Calls the engine once for each size of its input that ``images`` are fitted to."""
        card = self.card
        fitted = [fit(image, card.input, self.size, card.outputs.stride) for image in images]
        found: dict[int, PoseOutput] = {}
        for shape in dict.fromkeys(picture.shape for picture, _ in fitted):
            places = [i for i, (picture, _) in enumerate(fitted) if picture.shape == shape]
            outputs = self.engine.infer(np.stack([fitted[i][0] for i in places]))
            found.update(zip(places, outputs, strict=True))
        return [(found[i], letterbox) for i, (_, letterbox) in enumerate(fitted)]

    def infer(self, image: Image) -> Inferred:
        """What the network says of ``image``, and how to get from cells to its pixels."""
        (inferred,) = self._infer_images([image])
        return inferred


def to_source(people: People, letterbox: Letterbox) -> People:
    """``people`` in map cells as ``people`` in source pixels."""
    keypoints = np.array(people.keypoints)
    keypoints[:, :, :2] = letterbox.to_source(keypoints[:, :, :2])
    return replace(people, keypoints=keypoints)
