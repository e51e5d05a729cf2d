"""Layers and blocks that several networks are made of."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError

Activation = Literal["relu", "leaky_relu", "silu", "none"]


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = "relu",
    epsilon: float = 1e-5,
    momentum: float = 0.1,
) -> list[nn.Module]:
    """Returns a convolution that keeps the size (divided by the stride), batch norm, activation.

    ``leaky_relu`` has the slope 0.1 for negative numbers that Darknet and RetinaFace's small
    networks have.

    Args:
        in_channels: channels before.
        out_channels: channels after.
        kernel_size: side of the kernel; an even one fits the strides 2 and up.
        stride: factor by which height and width shrink.
        groups: of the convolution; as many as channels make it depthwise.
        activation: after the norm.
        epsilon: of the batch norm, added to the variance.
        momentum: of the batch norm, the share of a batch in the running statistics.
    """
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=(kernel_size - 1) // 2,
        groups=groups,
        bias=False,
    )
    norm = nn.BatchNorm2d(out_channels, epsilon, momentum)
    layers: list[nn.Module] = [convolution, norm]
    if activation == "relu":
        layers.append(nn.ReLU(inplace=True))
    elif activation == "leaky_relu":
        layers.append(nn.LeakyReLU(0.1, inplace=True))
    elif activation == "silu":
        layers.append(nn.SiLU(inplace=True))
    return layers


silu_layers = partial(conv_norm, activation="silu", epsilon=1e-3)
"""``conv_norm`` with the activation and the epsilon of all YOLO networks since YOLOv5.

Their batch norm's momentum of 0.03, meant for hundreds of epochs, is not taken: after a short run
its statistics would still be those of weights of long ago.
"""


def silu_conv(
    in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1
) -> nn.Sequential:
    """Returns a convolution, batch norm and SiLU."""
    return nn.Sequential(*silu_layers(in_channels, out_channels, kernel_size, stride))


def separable(
    in_channels: int, out_channels: int, repeats: int = 1, stride: int = 1
) -> nn.Sequential:
    """Returns depthwise convolutions, each before a pointwise one; the first has the stride."""
    layers: list[nn.Module] = []
    for place in range(repeats):
        step = stride if place == 0 else 1
        layers += silu_layers(in_channels, in_channels, stride=step, groups=in_channels)
        layers += silu_layers(in_channels, out_channels, kernel_size=1)
        in_channels = out_channels
    return nn.Sequential(*layers)


def scaled_channels(
    channels: Sequence[int], repeats: Sequence[int], width: float, owner: str
) -> list[int]:
    """Returns channels times the width, rounded up to multiples of 8 as YOLOv5 does.

    Args:
        channels: of the stem and of each stage at width 1.
        repeats: blocks of each stage.
        width: the factor.
        owner: the part that has the arguments, for the message.

    Raises:
        ConfigError: no channel would be left, or channels and repeats do not go together.
    """
    if len(channels) != len(repeats) + 1 or min(repeats, default=0) < 1:
        raise ConfigError(
            f"repeats of {owner} are {list(repeats)} and channels {list(channels)}: give at least "
            "one block for each stage, and channels for the stem and each stage."
        )
    if width <= 0 or min(channels) < 1:
        raise ConfigError(
            f"width of {owner} is {width} and its channels {list(channels)}: all have to be "
            "positive."
        )
    return [8 * ceil(each * width / 8) for each in channels]


class Bottleneck(nn.Module):
    """Two convolutions, the input added if ``shortcut``; the channels stay."""

    def __init__(self, channels: int, first_kernel: int, shortcut: bool) -> None:
        super().__init__()
        self.first = silu_conv(channels, channels, first_kernel)
        self.second = silu_conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Keeps the shape, B x channels x H x W."""
        changed = self.second(self.first(features))
        return features + changed if self.shortcut else changed


class C3(nn.Module):
    """YOLOv5's cross-stage partial block: half of the channels go around the bottlenecks.

    Args:
        in_channels: channels before.
        out_channels: channels after.
        repeats: bottlenecks in a row.
        shortcut: whether each adds its input.
    """

    def __init__(
        self, in_channels: int, out_channels: int, repeats: int, shortcut: bool = True
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.enter = silu_conv(in_channels, half)
        self.around = silu_conv(in_channels, half)
        self.blocks = nn.Sequential(*(Bottleneck(half, 1, shortcut) for _ in range(repeats)))
        self.join = silu_conv(2 * half, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """From B x in_channels x H x W to B x out_channels x H x W."""
        through = self.blocks(self.enter(features))
        return self.join(torch.cat([through, self.around(features)], dim=1))


class C2f(nn.Module):
    """YOLOv8's cross-stage partial block: what each bottleneck gives goes to the end as well.

    Arguments as those of ``C3``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, repeats: int, shortcut: bool = True
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.enter = silu_conv(in_channels, 2 * half)
        self.blocks = nn.ModuleList(Bottleneck(half, 3, shortcut) for _ in range(repeats))
        self.join = silu_conv((2 + repeats) * half, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """From B x in_channels x H x W to B x out_channels x H x W."""
        parts = list(self.enter(features).chunk(2, dim=1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.join(torch.cat(parts, dim=1))


CSP_BLOCKS = {"C3": C3, "C2f": C2f}
"""By the name that a YAML has."""


class SPP(nn.Module):
    """Spatial pyramid pooling (He et al. 2015): maxima of several windows side by side.

    A window comes from the next smaller one: the maximum over 5 cells of maxima over 5 cells is
    the maximum over 9. So YOLOv8's SPPF is the one with windows of 5, 9 and 13.

    Args:
        in_channels: channels before.
        out_channels: channels after.
        windows: sides of the windows in cells, odd, rising.

    Raises:
        ConfigError: the windows are not so.
    """

    def __init__(self, in_channels: int, out_channels: int, windows: Sequence[int]) -> None:
        super().__init__()
        smaller = [1, *windows[:-1]]
        if not windows or any(
            one % 2 == 0 or one <= before for one, before in zip(windows, smaller, strict=True)
        ):
            raise ConfigError(
                f"spp has the windows {list(windows)}: give odd numbers above 1 in rising order, "
                "such as [5, 9, 13]."
            )
        half = in_channels // 2
        self.enter = silu_conv(in_channels, half)
        self.pools = nn.ModuleList(
            nn.MaxPool2d(one - before + 1, stride=1, padding=(one - before) // 2)
            for one, before in zip(windows, smaller, strict=True)
        )
        self.join = silu_conv((1 + len(windows)) * half, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """From B x in_channels x H x W to B x out_channels x H x W."""
        views = [self.enter(features)]
        for pool in self.pools:
            views.append(pool(views[-1]))
        return self.join(torch.cat(views, dim=1))


class StemBlock(nn.Module):
    """A quarter of the size, by convolution and by pooling at once.

    From Pelee (Wang et al. 2018, section 2.1) as YOLO5Face (Qi et al. 2021) has it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = silu_conv(3, channels, 3, stride=2)
        self.reduce = nn.Sequential(
            *silu_layers(channels, channels // 2, kernel_size=1),
            *silu_layers(channels // 2, channels, stride=2),
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.join = silu_conv(2 * channels, channels)

    def forward(self, images: Tensor) -> Tensor:
        """From B x 3 x H x W to B x channels x H / 4 x W / 4."""
        half = self.first(images)
        return self.join(torch.cat([self.reduce(half), self.pool(half)], dim=1))
