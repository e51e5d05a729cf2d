"""From the pixels of a photograph to what a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError


@dataclass(frozen=True)
class Padding:
    """How a photograph is filled up to the sides that a network takes.

    Attributes:
        colour: RGB, 0 to 255; by default the one nearest to the mean that ``Pixels`` subtracts,
            which is about zero to the network.
        centred: pad on both sides instead of right and below.
        square: pad to a square instead of to the next multiple of the stride.
    """

    colour: tuple[int, int, int] | None = None
    centred: bool = False
    square: bool = False

    def __post_init__(self) -> None:
        if self.colour is not None and not all(0 <= one <= 255 for one in self.colour):
            raise ConfigError(f"colour of padding is {list(self.colour)}: give 0 to 255 for each.")


class Pixels(nn.Module):
    """Channel order, mean and deviation, kept in buffers: a checkpoint carries its preprocessing.

    Args:
        order: order of the channels that the network sees.
        mean: subtracted per channel, 0 to 255, in that order.
        std: divided by per channel, in that order; 255 scales to 0 to 1.
        padding: how photographs are filled up; it is no buffer, the config says it.

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
        padding: Padding | None = None,
    ) -> None:
        super().__init__()
        if min(std) <= 0:
            raise ConfigError(f"std of Pixels is {list(std)}: each has to be more than 0.")
        self.register_buffer("order", torch.tensor(["rgb".index(channel) for channel in order]))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.padding = padding or Padding()

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

    def padding_rgb(self) -> tuple[int, int, int]:
        """Returns the colour of the padding."""
        if self.padding.colour is not None:
            return self.padding.colour
        rgb = [0, 0, 0]
        for channel, value in zip(self.order.tolist(), self.mean.tolist(), strict=True):
            rgb[channel] = min(max(round(value), 0), 255)
        return rgb[0], rgb[1], rgb[2]
