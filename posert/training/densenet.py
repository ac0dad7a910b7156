"""The DenseNet trunk: torchvision's names of layers, so that its and trt_pose's weights load."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CLASSES = 1000  # of ImageNet; the classifier is in every state dict, though poses never use it
BOTTLENECK = 4  # channels between the two convolutions of a layer, in growths


class DenseLayer(nn.Module):
    """A 1 x 1 and a 3 x 3 convolution, each behind its normalisation: ``growth`` new channels."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        narrow = BOTTLENECK * growth
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, narrow, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.norm1(x).relu())
        return self.conv2(self.norm2(x).relu())


class DenseBlock(nn.Module):
    """Layers that each see the outputs of all before them."""

    def __init__(self, channels: int, growth: int, depth: int) -> None:
        super().__init__()
        for i in range(depth):
            self.add_module(f"denselayer{i + 1}", DenseLayer(channels + i * growth, growth))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


class DenseNet(nn.Module):
    """Pictures (N, 3, H, W) to features (N, channels, H / 32, W / 32)."""

    def __init__(self, growth: int, depths: Sequence[int], first: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, first, 7, 2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(first))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = first
        for i, depth in enumerate(depths, 1):
            if i > 1:
                self.features.add_module(f"transition{i - 1}", _transition(channels))
                channels //= 2
            self.features.add_module(f"denseblock{i}", DenseBlock(channels, growth, depth))
            channels += depth * growth
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, CLASSES)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)  # no ReLU behind the last normalisation: trt_pose has none


def _transition(channels: int) -> nn.Sequential:
    """Between two blocks: half the channels, half the height and width."""
    layers = nn.Sequential()
    layers.add_module("norm", nn.BatchNorm2d(channels))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("conv", nn.Conv2d(channels, channels // 2, 1, bias=False))
    layers.add_module("pool", nn.AvgPool2d(2))
    return layers
