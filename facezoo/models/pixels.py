"""From the pixels of a photograph to what a network was trained on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError


class Pixels(nn.Module):
    """Channel order, mean and deviation, kept in buffers: a checkpoint carries its preprocessing.

    Args:
        order: order of the channels that the network sees.
        mean: subtracted per channel, 0 to 255, in that order.
        std: divided by per channel, in that order; 255 scales to 0 to 1.

    Raises:
        ConfigError: a deviation is not positive.
    """

    order: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        order: Literal["rgb", "bgr"] = "rgb",
        mean: tuple[float, float, float] = (123.675, 116.28, 103.53),
        std: tuple[float, float, float] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__()
        if min(std) <= 0:
            raise ConfigError(f"std of Pixels is {list(std)}: each has to be more than 0.")
        self.register_buffer("order", torch.tensor(["rgb".index(channel) for channel in order]))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Returns the network's input, float32.

        Args:
            images: B x 3 x H x W, RGB, 0 to 255.
        """
        if images.is_contiguous(memory_format=torch.channels_last):  # and so it stays
            images = images.permute(0, 2, 3, 1).index_select(3, self.order).permute(0, 3, 1, 2)
        else:
            images = images.index_select(1, self.order)
        return (images.float() - self.mean.view(1, 3, 1, 1)) / self.std.view(1, 3, 1, 1)

    @property
    def padding(self) -> tuple[int, int, int]:
        """The RGB colour nearest to the mean, which padding has: about zero to the network."""
        rgb = [0, 0, 0]
        for channel, value in zip(self.order.tolist(), self.mean.tolist(), strict=True):
            rgb[channel] = min(max(round(value), 0), 255)
        return rgb[0], rgb[1], rgb[2]
