"""What goes into a network and comes out of it, in either form, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from posert.errors import ModelError
from posert.manifest import EngineFile, Form
from posert.model_card import ModelCard, TensorCard
from posert.runtime.preprocess import normalise
from posert.types import Images, PoseMaps, PoseOutput, PoseTensors

Tensors = Mapping[str, npt.NDArray[Any]]

COMPACT_INPUT = "frames"
COMPACT_OUTPUTS = ("peaks", "counts", "link_scores")


@dataclass(frozen=True, slots=True)
class NetworkIO:
    """Names, types and shapes of a network's tensors."""

    card: ModelCard
    form: Form
    names: Mapping[str, str] = field(default_factory=dict)  # the card's -> the network's, if other

    @classmethod
    def of(cls, card: ModelCard, file: EngineFile) -> NetworkIO:
        """The tensors of ``file``, an engine of the model of ``card``."""
        return cls(card, file.form, file.manifest.tensors if file.manifest is not None else {})

    @property
    def input(self) -> str:
        """Name of the input."""
        return COMPACT_INPUT if self.form == "compact" else self._name(self.card.input.name)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that are used; cmap and paf may be slices of one."""
        if self.form == "compact":
            return COMPACT_OUTPUTS
        cmap, paf = self.card.outputs.cmap.name, self.card.outputs.paf.name
        return tuple(dict.fromkeys([self._name(cmap), self._name(paf)]))

    def feed(self, frames: Images) -> npt.NDArray[Any]:
        """The input tensor of pictures uint8 (N, H, W, 3) BGR of the network's size.

        As they are for the compact form, float32 (N, 3, H, W) for the maps form.
        """
        return frames if self.form == "compact" else normalise(frames, self.card.input)

    def pictures(self, tensors: Tensors, frames: Images) -> list[PoseOutput]:
        """The output tensors picture by picture.

        Raises:
            ModelError: shapes contradict the card.
        """
        if self.form == "compact":
            each = zip(*(tensors[name] for name in COMPACT_OUTPUTS), strict=True)
            return [PoseTensors(p, c.astype(np.int64), s) for p, c, s in each]
        cmap = self._slice(tensors, self.card.outputs.cmap, frames)
        paf = self._slice(tensors, self.card.outputs.paf, frames)
        return [PoseMaps(c, p) for c, p in zip(cmap, paf, strict=True)]

    def _name(self, name: str) -> str:
        return self.names.get(name, name)

    def _slice(self, tensors: Tensors, card: TensorCard, frames: Images) -> npt.NDArray[np.float32]:
        tensor = tensors[self._name(card.name)]
        stride = self.card.outputs.stride
        expected = (frames.shape[1] // stride, frames.shape[2] // stride)
        if tensor.shape[1] < card.channels[1] or tensor.shape[2:] != expected:
            raise ModelError(
                f"model {self.card.name}: output {card.name!r} contradicts the card",
                got=tensor.shape,
                expected=f"{card.channels[1]} channels of {expected[0]} x {expected[1]} cells",
            )
        first, last = card.channels
        return np.asarray(tensor[:, first:last], np.float32)
