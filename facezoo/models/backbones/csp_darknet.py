"""CSPDarknet, the backbone of YOLOv5, YOLOv8 and YOLO5Face."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.backbones.backbone import StagedBackbone
from facezoo.models.blocks import CSP_BLOCKS, SPP, StemBlock, scaled_channels, silu_conv
from facezoo.registry import BACKBONES


@BACKBONES.register
class CSPDarknet(StagedBackbone):
    """Cross-stage partial blocks in rising channels, by default YOLOv5 6.0 at its full size.

    YOLOv5 6.0 l has the defaults. YOLOv8 has ``stem="3x3"``, ``block="C2f"`` and the repeats 3, 6,
    6, 3. YOLO5Face s, m and l (Qi et al. 2021, figure 1) have ``stem="stem_block"``, the repeats 3,
    9, 9, 3 and ``spp_place="before"`` with the windows 3, 5 and 7.

    Args:
        depth: factor of the repeats.
        width: factor of the channels, which are rounded up to multiples of 8.
        stem: a convolution of so many pixels with stride 2; or ``focus``, 2 x 2 pixels as channels
            and then a convolution of 3 x 3; or ``stem_block``, YOLO5Face's, with stride 4.
        block: that of every stage: YOLOv5's ``C3`` or YOLOv8's ``C2f``.
        channels: of the stem and of each stage at width 1.
        repeats: bottlenecks of each stage at depth 1.
        spp: windows of the pyramid pooling in the last stage, in cells, rising; 5, 9 and 13 are
            SPPF. Where ``levels`` end before that stage there is no pooling.
        spp_place: the pooling goes ``after`` the last block (YOLOv5 6.0, YOLOv8) or ``before`` it,
            and then that block has no shortcut (YOLOv5 5.0, YOLO5Face).
        levels: of the features, from 2 on, one for each stage; level n has the stride 2**n.

    Raises:
        ConfigError: ``depth`` or ``width`` is not positive, channels and repeats do not go
            together, ``spp`` has an even window, or there are no such levels.
    """

    def __init__(
        self,
        depth: float = 1.0,
        width: float = 1.0,
        stem: Literal["3x3", "6x6", "focus", "stem_block"] = "6x6",
        block: Literal["C3", "C2f"] = "C3",
        channels: tuple[int, ...] = (64, 128, 256, 512, 1024),
        repeats: tuple[int, ...] = (3, 6, 9, 3),
        spp: tuple[int, ...] = (5, 9, 13),
        spp_place: Literal["before", "after"] = "after",
        levels: tuple[int, ...] = (3, 4, 5),
    ) -> None:
        if depth <= 0:
            raise ConfigError(f"depth of CSPDarknet is {depth}: it has to be positive.")
        scaled = scaled_channels(channels, repeats, width, "CSPDarknet")
        super().__init__(levels, available=range(2, 2 + len(repeats)))
        counts = [max(round(each * depth), 1) for each in repeats]
        self._build(STEMS[stem](scaled[0]), _stages(stem, block, scaled, counts, spp, spp_place))


def _stages(
    stem: str,
    block: str,
    channels: Sequence[int],
    counts: Sequence[int],
    spp: Sequence[int],
    spp_place: str,
) -> Iterator[tuple[nn.Module, int]]:
    for place, count in enumerate(counts):
        before, after = channels[place], channels[place + 1]
        pooled_before = place == len(counts) - 1 and spp_place == "before"
        stage: OrderedDict[str, nn.Module] = OrderedDict()
        # The stem block is at the first stage's stride already.
        if place > 0 or stem != "stem_block":
            stage["reduce"] = silu_conv(before, after, 3, stride=2)
            before = after
        stage["block"] = CSP_BLOCKS[block](before, after, count, shortcut=not pooled_before)
        if place == len(counts) - 1:
            stage["pool"] = SPP(after, after, spp)
        if pooled_before:
            stage.move_to_end("block")
        yield nn.Sequential(stage), after


class _Focus(nn.Module):
    """The four pixels of 2 x 2 as channels: top left, bottom left, top right, bottom right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = silu_conv(12, channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        corners = [images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(corners, dim=1))


STEMS = {
    "3x3": lambda channels: silu_conv(3, channels, 3, stride=2),
    "6x6": lambda channels: silu_conv(3, channels, 6, stride=2),
    "focus": _Focus,
    "stem_block": StemBlock,
}
