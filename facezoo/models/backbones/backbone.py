"""What every backbone is."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Features of an image at several strides.

    Attributes:
        out_channels: channels of each feature, fine to coarse.
        out_strides: pixels per cell of each feature, fine to coarse.
    """

    out_channels: list[int]
    out_strides: list[int]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the features, fine to coarse, each B x channels x H / stride x W / stride.

        Args:
            images: B x 3 x H x W, float32, normalised.
        """
        raise NotImplementedError
