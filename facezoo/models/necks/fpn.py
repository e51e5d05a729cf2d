"""The base class of necks, and RetinaFace's: the feature pyramid and the context after it."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.blocks import Activation, conv_norm
from facezoo.registry import NECKS


class Neck(nn.Module):
    """From features to features, fine to coarse.

    Attributes:
        out_channels: channels of each feature that it returns.
        out_strides: pixels per cell of each.
    """

    out_channels: list[int]
    out_strides: list[int]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Returns the features, fine to coarse, each B x channels x H / stride x W / stride."""
        raise NotImplementedError


@NECKS.register
class FPN(Neck):
    """Lin et al. 2017, section 3, with batch norm; by default as RetinaFace has it.

    RetinaFace's variant merges before it goes on: a level is convolved after the coarser one was
    added to it, and the result is what is added to the next finer level. Its coarsest level has no
    merge convolution.

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features.
        channels: channels of every level that is returned.
        extra_levels: levels added after the coarsest, each half its size, by strided convolutions.
        upsample: how a coarser level is brought to the size of the finer one.
        merge: ``cascade`` (RetinaFace: the merged level is passed on), ``output`` (Lin et al.: a
            3 x 3 convolution of every level after all additions) or ``none``.
        activation: after each convolution.

    Raises:
        ConfigError: ``channels`` is not positive, or ``extra_levels`` is negative.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        channels: int = 256,
        extra_levels: int = 0,
        upsample: Literal["nearest", "bilinear"] = "nearest",
        merge: Literal["cascade", "output", "none"] = "cascade",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if channels < 1 or extra_levels < 0:
            raise ConfigError(
                f"channels of FPN are {channels} and extra_levels {extra_levels}: give at least 1 "
                "and at least 0."
            )
        self.upsample = upsample
        self.cascades = merge == "cascade"
        self.lateral = nn.ModuleList(
            nn.Sequential(*conv_norm(each, channels, kernel_size=1, activation=activation))
            for each in in_channels
        )
        merged = {"cascade": len(in_channels) - 1, "output": len(in_channels), "none": 0}[merge]
        self.merge = nn.ModuleList(
            nn.Sequential(*conv_norm(channels, channels, activation=activation))
            for _ in range(merged)
        )
        self.extra = nn.ModuleList(
            nn.Sequential(*conv_norm(channels, channels, stride=2, activation=activation))
            for _ in range(extra_levels)
        )
        self.out_channels = [channels] * (len(in_channels) + extra_levels)
        coarsest = in_strides[-1]
        self.out_strides = [
            *in_strides,
            *(coarsest * 2 ** (level + 1) for level in range(extra_levels)),
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """See ``Neck.forward``."""
        levels = [layer(one) for layer, one in zip(self.lateral, features, strict=True)]
        for place in range(len(levels) - 2, -1, -1):
            size = levels[place].shape[-2:]
            levels[place] = levels[place] + F.interpolate(
                levels[place + 1], size=size, mode=self.upsample
            )
            if self.cascades:
                levels[place] = self.merge[place](levels[place])
        if not self.cascades and len(self.merge):
            levels = [layer(one) for layer, one in zip(self.merge, levels, strict=True)]
        for layer in self.extra:
            levels.append(layer(levels[-1]))
        return levels


@NECKS.register
class SSH(Neck):
    """Three views of 3 x 3, 5 x 5 and 7 x 7 cells side by side (Najibi et al. 2017, figure 4).

    The larger ones are chains of 3 x 3 convolutions. One such module per level, weights not
    shared, as in RetinaFace (Deng et al. 2020, section 3.2).

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, which stay.
        channels: channels of each level that is returned, by default as many as came in; a
            multiple of 4.
        activation: of the convolutions inside a chain.

    Raises:
        ConfigError: the channels are no multiple of 4.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        channels: int | None = None,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.out_channels = list(in_channels) if channels is None else [channels] * len(in_channels)
        if any(each % 4 or each < 4 for each in self.out_channels):
            raise ConfigError(
                f"channels of SSH are {self.out_channels}: each has to be a multiple of 4."
            )
        self.out_strides = list(in_strides)
        self.levels = nn.ModuleList(
            _Context(before, after, activation)
            for before, after in zip(in_channels, self.out_channels, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """See ``Neck.forward``."""
        return [level(feature) for level, feature in zip(self.levels, features, strict=True)]


class _Context(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, activation: Activation) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.view3 = nn.Sequential(*conv_norm(in_channels, half, activation="none"))
        self.shared = nn.Sequential(*conv_norm(in_channels, quarter, activation=activation))
        self.view5 = nn.Sequential(*conv_norm(quarter, quarter, activation="none"))
        self.view7 = nn.Sequential(
            *conv_norm(quarter, quarter, activation=activation),
            *conv_norm(quarter, quarter, activation="none"),
        )

    def forward(self, features: Tensor) -> Tensor:
        shared = self.shared(features)
        views = [self.view3(features), self.view5(shared), self.view7(shared)]
        return F.relu(torch.cat(views, dim=1))
