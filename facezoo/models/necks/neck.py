"""The base class of necks."""

from __future__ import annotations

from torch import Tensor, nn


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
