"""Darknet-53, the backbone of YOLOv3."""

from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn

from facezoo.models.backbones.backbone import StagedBackbone
from facezoo.models.blocks import conv_norm
from facezoo.registry import BACKBONES

STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
"""(channels, residual blocks) of each stage (Redmon & Farhadi 2018, table 1)."""


@BACKBONES.register
class Darknet53(StagedBackbone):
    """52 convolutions of 3 x 3 and 1 x 1 cells with residual shortcuts, leaky, no classifier.

    Redmon & Farhadi 2018, YOLOv3, table 1.

    Args:
        levels: of the features, out of 1 to 5; level n has the stride 2**n.

    Raises:
        ConfigError: there are no such levels, or they do not rise.
    """

    def __init__(self, levels: tuple[int, ...] = (3, 4, 5)) -> None:
        super().__init__(levels, available=range(1, 6))
        self._build(nn.Sequential(*conv_norm(3, 32, activation="leaky_relu")), _stages())


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *conv_norm(channels, channels // 2, kernel_size=1, activation="leaky_relu"),
            *conv_norm(channels // 2, channels, activation="leaky_relu"),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.convs(features)


def _stages() -> Iterator[tuple[nn.Module, int]]:
    before = 32
    for channels, repeats in STAGES:
        reduce = conv_norm(before, channels, stride=2, activation="leaky_relu")
        blocks = (_Residual(channels) for _ in range(repeats))
        stage: OrderedDict[str, nn.Module] = OrderedDict(
            reduce=nn.Sequential(*reduce), blocks=nn.Sequential(*blocks)
        )
        yield nn.Sequential(stage), channels
        before = channels
