"""The feature pyramid: what coarse features know is added to the finer ones."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.layers import Activation, conv_norm
from facezoo.models.necks.neck import Neck
from facezoo.registry import NECKS


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
        self.merges_on_the_way = merge == "cascade"
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
            if self.merges_on_the_way:
                levels[place] = self.merge[place](levels[place])
        if not self.merges_on_the_way and len(self.merge):
            levels = [layer(one) for layer, one in zip(self.merge, levels, strict=True)]
        for layer in self.extra:
            levels.append(layer(levels[-1]))
        return levels
