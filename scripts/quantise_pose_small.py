"""Makes models/pose-small/pose-small.int8.onnx, the network that CPUs run by default.

The pictures are 64 of the COCO 2017 images that pose-small was trained with, spread over their
names; with the same images, onnx and onnxruntime the file comes out the same. Usage::

    python scripts/quantise_pose_small.py IMAGES [OUT]
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime

from posert.engine_builder.card import read_card
from posert.engine_builder.quantise import to_int8
from posert.runtime.preprocess import fit, normalise
from posert.runtime.sources.pictures import read_image
from posert.types import Float32

MODEL = Path(__file__).parents[1] / "models" / "pose-small"
PICTURES = 64
# Left in float32: the first layers make a fifth of the maps' error and take a twentieth of the time
KEPT = ("/t/b.0/d/Conv", "/t/b.0/p/Conv", "/t/b.1/d/Conv")


def main(images: Path, out: Path = MODEL / "pose-small.int8.onnx") -> None:
    """Writes the quantised network and prints its sha256."""
    files = sorted(images.glob("*.jpg"))
    chosen = [files[(2 * i + 1) * len(files) // (2 * PICTURES)] for i in range(PICTURES)]
    network = onnx.load(str(MODEL / "pose-small.onnx"))
    quantised = to_int8(network, inputs(chosen), target="cpu", keep=KEPT)
    data = quantised.SerializeToString(deterministic=True)
    out.write_bytes(data)
    print(f"{out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print(f"from {len(files)} images; onnx {onnx.__version__}, {onnxruntime.__version__=}")


def inputs(files: list[Path]) -> Iterator[Float32]:
    """What the network takes of each picture, float32 (1, 3, H, W)."""
    card = read_card(MODEL / "card.yaml")
    for file in files:
        frame, _ = fit(read_image(file), card.input, card.input.size, card.outputs.stride)
        yield normalise(frame[None], card.input)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
