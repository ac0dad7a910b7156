"""trt_pose's heads: features of 1/32 of the input to confidence maps and PAFs of 1/4."""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 256  # channels of the enlarged features
DOUBLINGS = 3


class Head(nn.Module):
    """``*_baseline``: each output from features enlarged for it."""

    def __init__(self, channels: int, cmap: int, paf: int) -> None:
        super().__init__()
        self.cmap_conv = nn.Sequential(_enlarge(channels), nn.Conv2d(WIDTH, cmap, 1))
        self.paf_conv = nn.Sequential(_enlarge(channels), nn.Conv2d(WIDTH, paf, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.cmap_conv(x), self.paf_conv(x)


class AttentionHead(nn.Module):
    """``*_baseline_att``: the enlarged features are weighted before each output."""

    def __init__(self, channels: int, cmap: int, paf: int) -> None:
        super().__init__()
        self.cmap_up = _enlarge(channels)
        self.paf_up = _enlarge(channels)
        self.cmap_att = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.paf_att = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.cmap_conv = nn.Conv2d(WIDTH, cmap, 1)
        self.paf_conv = nn.Conv2d(WIDTH, paf, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for_cmap, for_paf = self.cmap_up(x), self.paf_up(x)
        cmap = self.cmap_conv(for_cmap * self.cmap_att(for_cmap).sigmoid())
        paf = self.paf_conv(for_paf * self.paf_att(for_paf).tanh())
        return cmap, paf


def _enlarge(channels: int) -> nn.Sequential:
    """Eight times the height and width, by three transposed convolutions."""
    layers: list[nn.Module] = []
    for _ in range(DOUBLINGS):
        doubling = nn.ConvTranspose2d(channels, WIDTH, 4, stride=2, padding=1)
        layers += [doubling, nn.BatchNorm2d(WIDTH), nn.ReLU()]
        channels = WIDTH
    return nn.Sequential(*layers)
