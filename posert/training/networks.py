"""trt_pose's networks by their names there; their state dicts have trt_pose's keys."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from posert.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import nn

ATTENTION: Final = "_att"
_RESNETS: Final = {  # blocks of each stage; from 50 on they are bottlenecks
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
_DENSENETS: Final = {  # growth, layers of each block, channels of the first convolution
    "densenet121": (32, (6, 12, 24, 16), 64),
    "densenet161": (48, (6, 12, 36, 24), 96),
    "densenet169": (32, (6, 12, 32, 32), 64),
    "densenet201": (32, (6, 12, 48, 32), 64),
}
ARCHITECTURES: Final = tuple(
    f"{trunk}_baseline{end}" for trunk in (*_RESNETS, *_DENSENETS) for end in ("", ATTENTION)
)


def build_network(architecture: str, keypoints: int = 18, links: int = 21) -> nn.Sequential:
    """The network with random weights: float32 (N, 3, H, W), both sides multiples of 32, to
    ``cmap`` (N, keypoints, H / 4, W / 4) and ``paf`` (N, 2 links, H / 4, W / 4).

    Raises:
        ConfigError: there is no such architecture.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"no architecture {architecture!r}{nearest(architecture, ARCHITECTURES)}",
            expected=f"one of {', '.join(ARCHITECTURES)}",
        )
    from torch import nn

    from posert.training.heads import AttentionHead, Head

    name = architecture.partition("_")[0]
    trunk = _trunk(name)
    head = AttentionHead if architecture.endswith(ATTENTION) else Head
    named = OrderedDict([(name.rstrip("0123456789"), trunk)])  # "resnet" or "densenet"
    return nn.Sequential(nn.Sequential(named), head(trunk.channels, keypoints, 2 * links))


def _trunk(name: str) -> nn.Module:
    if name in _DENSENETS:
        from posert.training.densenet import DenseNet

        return DenseNet(*_DENSENETS[name])
    from posert.training.resnet import BasicBlock, Bottleneck, ResNet

    block = BasicBlock if name in ("resnet18", "resnet34") else Bottleneck
    return ResNet(block, _RESNETS[name])
