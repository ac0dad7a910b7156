"""The zoo's networks whose weights we may not ship: their graphs, with random weights.

The graphs are those of the cards' exports before an exporter folds anything: each BatchNorm
stands behind its convolution.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from making.networks import Weights, save
from posert.config import shipped
from posert.engine_builder.card import find_card


def zoo_model(name: str, folder: Path) -> Path:
    """A folder of the shipped card and topology of model ``name``, and an ONNX made for them."""
    made = folder / name
    if name == "pose-small":
        return shipped("models") / name
    shutil.copytree(shipped("models") / name, made)
    ZOO[name](find_card(str(made)).onnx_path)
    return made


def resnet18_att(path: Path) -> None:
    """trt_pose's resnet18_baseline_att, 20.8 M parameters; the batch is free."""
    g = _Graph()
    x = g.pool(g.conv_bn_relu("input", 64, 7, 2), "MaxPool", 3, 2, 1)
    for channels in (64, 128, 256, 512):
        x = g.basic_block(x, channels, 1 if channels == 64 else 2)
        x = g.basic_block(x, channels, 1)
    g.attention_heads(x)
    save(path, g.nodes, g.weights, {"cmap": 18, "paf": 42}, ("n", 3, 224, 224))


def densenet121_att(path: Path) -> None:
    """trt_pose's densenet121_baseline_att, 20.8 M parameters; the batch is free."""
    g = _Graph()
    x = g.pool(g.conv_bn_relu("input", 64, 7, 2), "MaxPool", 3, 2, 1)
    for number, layers in enumerate((6, 12, 24, 16)):
        if number:
            x = g.conv(g.relu(g.bn(x)), g.channels[x] // 2, 1)
            x = g.pool(x, "AveragePool", 2, 2, 0)
        for _ in range(layers):
            grown = g.conv(g.relu(g.bn(x)), 128, 1)
            grown = g.conv(g.relu(g.bn(grown)), 32, 3)
            x = g.concat(x, grown)
    g.attention_heads(g.bn(x))
    save(path, g.nodes, g.weights, {"cmap": 18, "paf": 42}, ("n", 3, 256, 256))


def openpose_coco18(path: Path, width: float = 0.25) -> None:
    """OpenPose's six stages behind its VGG-19 trunk; batch 1, as the card's converter writes it.

    All layers of the network, but ``width`` of its inner channels: 4.0 M of 52 M parameters.
    """
    g = _Graph()

    def chain(x: str, channels: list[int], kernel: int) -> str:
        for count in channels:
            x = g.relu(g.conv(x, int(count * width), kernel, bias=True))
        return x

    x = g.pool(chain("input", [64, 64], 3), "MaxPool", 2, 2, 0)
    x = g.pool(chain(x, [128, 128], 3), "MaxPool", 2, 2, 0)
    x = g.pool(chain(x, [256, 256, 256, 256], 3), "MaxPool", 2, 2, 0)
    trunk = chain(x, [512, 512, 256, 128], 3)
    maps = {count: g.maps(chain(chain(trunk, [128] * 3, 3), [512], 1), count) for count in (38, 19)}
    for _ in range(5):
        x = g.concat(maps[38], maps[19], trunk)
        maps = {count: g.maps(chain(chain(x, [128] * 5, 7), [128], 1), count) for count in (38, 19)}
    g.concat(maps[19], maps[38], name="net_output")
    save(path, g.nodes, g.weights, {"net_output": 57}, (1, 3, 368, 656))


ZOO: dict[str, Callable[[Path], None]] = {
    "trt-pose-resnet18-224": resnet18_att,
    "trt-pose-densenet121-256": densenet121_att,
    "openpose-coco18-656x368": openpose_coco18,
}


@dataclass
class _Graph:
    """A network as it grows. Each method adds nodes to tensor ``x`` and names what comes out."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: Weights = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=lambda: {"input": 3})
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def conv(self, x: str, out: int, kernel: int, stride: int = 1, bias: bool = False) -> str:
        return self._conv(x, out, kernel, stride, bias)

    def maps(self, x: str, out: int, name: str = "") -> str:
        """A 1 x 1 convolution to maps of about -1 to 1."""
        return self._conv(x, out, 1, 1, bias=True, gain=0.05, name=name)

    def _conv(
        self,
        x: str,
        out: int,
        kernel: int,
        stride: int,
        bias: bool,
        gain: float = 1,
        name: str = "",
    ) -> str:
        shape = (out, self.channels[x], kernel, kernel)
        weights = self._weights(shape, shape[1] * kernel**2, gain)
        inputs = [x, weights, *([self._uniform(out, -0.1, 0.1)] if bias else [])]
        return self._add(
            "Conv", inputs, out, name, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )  # fmt: skip

    def upsample(self, x: str, out: int) -> str:
        """Twice the size: ConvTranspose, BatchNorm, ReLU."""
        weights = self._weights((self.channels[x], out, 4, 4), self.channels[x] * 4)
        inputs = [x, weights, self._uniform(out, -0.1, 0.1)]
        x = self._add(
            "ConvTranspose", inputs, out, kernel_shape=[4, 4], strides=[2, 2], pads=[1] * 4
        )
        return self.relu(self.bn(x))

    def bn(self, x: str, scale: float = 1.0) -> str:
        count = self.channels[x]
        ranges = ((0.8 * scale, 1.2 * scale), (-0.1, 0.1), (-0.1, 0.1), (0.8, 1.2))
        inputs = [x, *(self._uniform(count, low, high) for low, high in ranges)]
        return self._add("BatchNormalization", inputs, count)

    def relu(self, x: str) -> str:
        return self._add("Relu", [x], self.channels[x])

    def conv_bn_relu(self, x: str, out: int, kernel: int, stride: int) -> str:
        return self.relu(self.bn(self.conv(x, out, kernel, stride)))

    def pool(self, x: str, kind: str, kernel: int, stride: int, pad: int) -> str:
        sides: dict[str, list[int]] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2}
        return self._add(kind, [x], self.channels[x], "", pads=[pad] * 4, **sides)

    def concat(self, *parts: str, name: str = "") -> str:
        total = sum(self.channels[part] for part in parts)
        return self._add("Concat", list(parts), total, name, axis=1)

    def basic_block(self, x: str, out: int, stride: int) -> str:
        """ResNet's, with a 1 x 1 convolution on its shortcut where the shape changes."""
        inner = self.conv(self.conv_bn_relu(x, out, 3, stride), out, 3)
        inner = self.bn(inner, scale=0.5)
        short = x if stride == 1 else self.bn(self.conv(x, out, 1, stride))
        return self.relu(self._add("Add", [inner, short], out))

    def attention_heads(self, x: str) -> None:
        """trt_pose's CmapPafHeadAttention: the outputs ``cmap`` and ``paf``."""
        for name, out, gate in (("cmap", 18, "Sigmoid"), ("paf", 42, "Tanh")):
            up = x
            for _ in range(3):
                up = self.upsample(up, 256)
            attention = self._add(gate, [self.conv(up, 256, 3, bias=True)], 256)
            up = self._add("Mul", [up, attention], 256)
            self.maps(up, out, name)

    def _add(
        self, kind: str, inputs: list[str], out: int, name: str = "", **attributes: Any
    ) -> str:
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"/{name}", **attributes))
        self.channels[name] = out
        return name

    def _weights(self, shape: tuple[int, ...], fan_in: int, gain: float = 1) -> str:
        """Keeps the size of what a ReLU lets through."""
        size = np.float32(gain * (2 / fan_in) ** 0.5)
        return self._keep(self._random.standard_normal(shape, np.float32) * size)

    def _uniform(self, count: int, low: float, high: float) -> str:
        return self._keep(self._random.uniform(low, high, count).astype(np.float32))

    def _keep(self, values: npt.NDArray[np.float32]) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = values
        return name
