"""The ResNet trunk: torchvision's names of layers, so that its and trt_pose's weights load."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

CLASSES = 1000  # of ImageNet; the classifier is in every state dict, though poses never use it


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; of ResNet-18 and 34."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (y + (self.downsample(x) if self.downsample else x)).relu()


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut; of ResNet-50 and deeper."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = width * self.expansion
        self.conv1 = _convolution(channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, wide, 1)
        self.bn3 = nn.BatchNorm2d(wide)
        self.downsample = _shortcut(channels, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + (self.downsample(x) if self.downsample else x)).relu()


class ResNet(nn.Module):
    """Pictures (N, 3, H, W) to features (N, 512 * expansion, H / 32, W / 32)."""

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = _convolution(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for stage, depth in enumerate(depths):
            width = 64 << stage
            blocks = []
            for i in range(depth):
                blocks.append(block(channels, width, 2 if stage and i == 0 else 1))
                channels = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, CLASSES)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _convolution(channels: int, out: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, side, stride, padding=side // 2, bias=False)


def _shortcut(channels: int, out: int, stride: int) -> nn.Sequential | None:
    """What makes a block's input as wide and small as its output; None where it is already."""
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(_convolution(channels, out, 1, stride), nn.BatchNorm2d(out))
