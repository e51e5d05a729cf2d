"""ShuffleNetV2 as the small YOLO5Face and YOLOv8-face networks have it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import channel_shuffle

from facezoo.models.backbones.backbone import StagedBackbone
from facezoo.models.blocks import SPP, StemBlock, scaled_channels, silu_layers
from facezoo.registry import BACKBONES


@BACKBONES.register
class ShuffleNetV2(StagedBackbone):
    """Ma et al. 2018, figure 3 (c) and (d), with SiLU, after YOLO5Face's stem block.

    Args:
        width: factor of all channels, which are rounded up to multiples of 8; YOLO5Face-n has 1,
            YOLO5Face-n-0.5 has 0.5.
        channels: of the stem and of each stage at width 1.
        repeats: units of each stage, the first of which halves the size.
        spp: windows of the pyramid pooling at the end of the last stage, in cells, rising; None for
            no pooling. Where ``levels`` end before that stage there is none either.
        levels: of the features, from 3 on, one for each stage; level n has the stride 2**n.

    Raises:
        ConfigError: no channel is left, a stage has no unit or no channels, ``spp`` has an even
            window, or there are no such levels.
    """

    def __init__(
        self,
        width: float = 1.0,
        channels: tuple[int, ...] = (32, 128, 256, 512),
        repeats: tuple[int, ...] = (4, 8, 4),
        spp: tuple[int, ...] | None = None,
        levels: tuple[int, ...] = (3, 4, 5),
    ) -> None:
        scaled = scaled_channels(channels, repeats, width, "ShuffleNetV2")
        super().__init__(levels, available=range(3, 3 + len(repeats)))
        self._build(StemBlock(scaled[0]), _stages(scaled, repeats, spp))


class _Unit(nn.Module):
    """Half of the channels pass, half are convolved, and then they are mixed; keeps the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = _convs(channels // 2, channels // 2, stride=1)

    def forward(self, features: Tensor) -> Tensor:
        kept, changed = features.chunk(2, dim=1)
        return channel_shuffle(torch.cat([kept, self.convs(changed)], dim=1), groups=2)


class _ReducingUnit(nn.Module):
    """Two branches of all channels, each at half the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.short = nn.Sequential(
            *_depthwise(in_channels, stride=2), *silu_layers(in_channels, half, kernel_size=1)
        )
        self.convs = _convs(in_channels, half, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        halves = torch.cat([self.short(features), self.convs(features)], dim=1)
        return channel_shuffle(halves, groups=2)


def _stages(
    channels: Sequence[int], repeats: Sequence[int], spp: Sequence[int] | None
) -> Iterator[tuple[nn.Module, int]]:
    for place, units in enumerate(repeats):
        before, after = channels[place], channels[place + 1]
        stage: list[nn.Module] = [_ReducingUnit(before, after)]
        stage += [_Unit(after) for _ in range(units - 1)]
        if spp is not None and place == len(repeats) - 1:
            stage.append(SPP(after, after, spp))
        yield nn.Sequential(*stage), after


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    return silu_layers(channels, channels, stride=stride, groups=channels, activation="none")


def _convs(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *silu_layers(in_channels, out_channels, kernel_size=1),
        *_depthwise(out_channels, stride),
        *silu_layers(out_channels, out_channels, kernel_size=1),
    )
