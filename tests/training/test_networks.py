"""The networks have trt_pose's and torchvision's layers: their weights load, and mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from posert.errors import ConfigError
from posert.training.networks import ARCHITECTURES, build_network

torch = pytest.importorskip("torch")

Shapes = dict[str, tuple[int, ...]]

# Parameters of torchvision's networks as its documentation tells them, classifier included.
TORCHVISION = {
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032,
    "resnet101": 44_549_160, "resnet152": 60_192_808,
    "densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}  # fmt: skip
RESNET_BLOCKS = {"18": "2222", "34": "3463", "50": "3463", "101": "3 4 23 3", "152": "3 8 36 3"}
DENSENET = {
    "121": (32, 64, "6 12 24 16", 1024),
    "161": (48, 96, "6 12 36 24", 2208),
    "169": (32, 64, "6 12 32 32", 1664),
    "201": (32, 64, "6 12 48 32", 1920),
}  # growth, first channels, layers, last channels
MEAN_AND_VARIANCE = ("weight", "bias", "running_mean", "running_var")


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in MEAN_AND_VARIANCE:
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def conv(
    name: str, shape: tuple[int, ...], bias: int | None = None
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    if bias is not None:
        yield f"{name}.bias", (bias,)


def resnet(depth: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Keys and shapes of torchvision's resnet, from its paper's table."""
    deep = int(depth) >= 50
    counts = RESNET_BLOCKS[depth]
    yield from conv("conv1", (64, 3, 7, 7))
    yield from norm("bn1", 64)
    before = 64
    for stage, blocks in enumerate(map(int, counts.split() if " " in counts else counts)):
        width = (64, 128, 256, 512)[stage]
        out = 4 * width if deep else width
        for i in range(blocks):
            at = f"layer{stage + 1}.{i}"
            sides = (1, 3, 1) if deep else (3, 3)
            widths = (width, width, out) if deep else (width, out)
            channels = before
            for n, (side, wide) in enumerate(zip(sides, widths, strict=True), 1):
                yield from conv(f"{at}.conv{n}", (wide, channels, side, side))
                yield from norm(f"{at}.bn{n}", wide)
                channels = wide
            if i == 0 and (stage > 0 or deep):
                yield from conv(f"{at}.downsample.0", (out, before, 1, 1))
                yield from norm(f"{at}.downsample.1", out)
            before = out
    yield from conv("fc", (1000, before), 1000)


def densenet(depth: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Keys and shapes of torchvision's densenet, from its paper's table."""
    growth, channels, layers, last = DENSENET[depth]
    yield from conv("features.conv0", (channels, 3, 7, 7))
    yield from norm("features.norm0", channels)
    for block, count in enumerate(map(int, layers.split()), 1):
        for n in range(1, count + 1):
            at = f"features.denseblock{block}.denselayer{n}"
            yield from norm(f"{at}.norm1", channels)
            yield from conv(f"{at}.conv1", (4 * growth, channels, 1, 1))
            yield from norm(f"{at}.norm2", 4 * growth)
            yield from conv(f"{at}.conv2", (growth, 4 * growth, 3, 3))
            channels += growth
        if block < 4:
            yield from norm(f"features.transition{block}.norm", channels)
            yield from conv(f"features.transition{block}.conv", (channels // 2, channels, 1, 1))
            channels //= 2
    assert channels == last
    yield from norm("features.norm5", channels)
    yield from conv("classifier", (1000, channels), 1000)


def head(attention: bool, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Keys and shapes of trt_pose's CmapPafHead and CmapPafHeadAttention."""
    for output, count in (("cmap", 18), ("paf", 42)):
        up = f"{output}_up" if attention else f"{output}_conv.0"
        for i, wide in enumerate((channels, 256, 256)):
            yield from conv(f"{up}.{3 * i}", (wide, 256, 4, 4), 256)
            yield from norm(f"{up}.{3 * i + 1}", 256)
        if attention:
            yield from conv(f"{output}_att", (256, 256, 3, 3), 256)
        last = f"{output}_conv" if attention else f"{output}_conv.1"
        yield from conv(last, (count, 256, 1, 1), count)


def trt_pose(architecture: str) -> Shapes:
    trunk = architecture.partition("_")[0]
    if trunk.startswith("resnet"):
        depth = trunk.removeprefix("resnet")
        layers, kind = resnet(depth), "resnet"
        channels = 2048 if int(depth) >= 50 else 512
    else:
        depth = trunk.removeprefix("densenet")
        layers, kind, channels = densenet(depth), "densenet", DENSENET[depth][3]
    shapes = {f"0.{kind}.{name}": shape for name, shape in layers}
    return shapes | {f"1.{n}": s for n, s in head(architecture.endswith("_att"), channels)}


def built(architecture: str, *counts: int) -> Any:
    with torch.device("meta"):
        return build_network(architecture, *counts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keys_and_shapes_are_trt_poses(architecture: str) -> None:
    state = built(architecture).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == trt_pose(architecture)


@pytest.mark.parametrize("trunk", TORCHVISION)
def test_a_trunk_has_as_many_parameters_as_torchvisions(trunk: str) -> None:
    network = built(f"{trunk}_baseline_att")
    assert sum(p.numel() for p in network[0].parameters()) == TORCHVISION[trunk]


def test_the_default_network_runs_with_20_8_million_parameters() -> None:
    network = built("resnet18_baseline_att")
    unused = sum(p.numel() for p in network[0].resnet.fc.parameters())
    assert sum(p.numel() for p in network.parameters()) - unused == pytest.approx(20.8e6, rel=2e-3)


@pytest.mark.parametrize(
    "architecture", ["resnet18_baseline", "resnet50_baseline_att", "densenet121_baseline"]
)
def test_maps_are_a_quarter_of_the_input(architecture: str) -> None:
    cmap, paf = built(architecture, 21, 20)(torch.empty(2, 3, 64, 96, device="meta"))
    assert tuple(cmap.shape) == (2, 21, 16, 24)
    assert tuple(paf.shape) == (2, 40, 16, 24)


def test_attention_weights_maps_by_a_sigmoid_and_fields_by_a_tangent() -> None:
    torch.manual_seed(0)
    network = build_network("resnet18_baseline_att").eval()
    layer = network[1]
    with torch.inference_mode():
        features = network[0](torch.randn(1, 3, 64, 64))
        cmap, paf = layer(features)
        for_cmap, for_paf = layer.cmap_up(features), layer.paf_up(features)
        expected = layer.cmap_conv(torch.sigmoid(layer.cmap_att(for_cmap)) * for_cmap)
        assert torch.equal(cmap, expected)
        assert torch.equal(paf, layer.paf_conv(torch.tanh(layer.paf_att(for_paf)) * for_paf))


def test_an_unknown_architecture_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'resnet18_baseline_att'\?"):
        build_network("resnet18_baselineatt")
