"""Convolutions that several networks are made of."""

from __future__ import annotations

from typing import Literal

from torch import nn

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
