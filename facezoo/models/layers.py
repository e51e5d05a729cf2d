"""Convolutions that several networks are made of."""

from __future__ import annotations

from typing import Literal

from torch import nn

Activation = Literal["relu", "leaky_relu", "none"]


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = "relu",
) -> list[nn.Module]:
    """Returns a convolution that keeps the size (divided by the stride), batch norm, activation.

    ``leaky_relu`` has the slope 0.1 for negative numbers that RetinaFace's small networks have.
    """
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(out_channels)]
    if activation == "relu":
        layers.append(nn.ReLU(inplace=True))
    elif activation == "leaky_relu":
        layers.append(nn.LeakyReLU(0.1, inplace=True))
    return layers
