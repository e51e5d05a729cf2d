"""The context module of SSH: a wider view at the same size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.layers import Activation, conv_norm
from facezoo.models.necks.neck import Neck
from facezoo.registry import NECKS


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
