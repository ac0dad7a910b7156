"""Where pictures on the device go in a network's input: the geometry of ``preprocess.fit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from posert.model_card import InputCard, InputSize
from posert.runtime.cuda import DeviceBuffer, Gpu, Stream
from posert.runtime.device.pictures import Nv12Picture
from posert.runtime.device.resize import resizer
from posert.runtime.preprocess import sizes
from posert.types import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A picture and its place in a network's input."""

    picture: Nv12Picture
    size: tuple[int, int]  # of the input: height, width
    inner: tuple[int, int]  # of the scaled picture in it
    letterbox: Letterbox


def place(picture: Nv12Picture, card: InputCard, size: InputSize, stride: int) -> Placed:
    """Where ``picture`` goes; nothing is done on the device yet."""
    full, inner = sizes((picture.height, picture.width), card, size)
    letterbox = Letterbox(inner[1] / picture.width, inner[0] / picture.height, stride)
    return Placed(picture, full, inner, letterbox)


def filling(
    gpu: Gpu, placed: Sequence[Placed], card: InputCard
) -> Callable[[DeviceBuffer, Stream], None]:
    """What writes ``placed``, all of one input size, to a buffer uint8 (N, h, w, 3) BGR."""

    def fill(target: DeviceBuffer, stream: Stream) -> None:
        for each in placed:
            stream.wait(each.picture.ready)
        sources = [each.picture.source(*each.inner) for each in placed]
        resizer(gpu).queue(sources, placed[0].size, card.fill, target, stream)

    return fill
