"""The path aggregation pyramid: down from the coarse features and up again from the fine ones."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.blocks import CSP_BLOCKS, separable, silu_conv
from facezoo.models.necks.fpn import Neck
from facezoo.registry import NECKS


@NECKS.register
class PAFPN(Neck):
    """Liu et al. 2018, section 3.1, as the YOLO family has it, for any number of levels.

    Coarse features are enlarged and joined to the finer ones, a block after each; then the finest
    is reduced and joined to the coarser ones in the same way. The block comes with the joints of
    the network that it is from:

    * ``C3`` (YOLOv5, YOLO5Face): 1 x 1 convolutions before enlarging; joints by concatenation.
    * ``C2f`` (YOLOv8): no such convolutions; joints by concatenation.
    * ``separable`` (YOLOv8-lite-t): depthwise and pointwise convolutions, for reducing too; 1 x 1
      convolutions before enlarging; the way back up adds.

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, each twice the one before.
        channels: channels of each level that is returned, by default as many as came in.
        block: what follows each joint, without shortcuts.
        repeats: bottlenecks (or pairs of separable convolutions) in each block.

    Raises:
        ConfigError: ``channels`` are not one for each feature, ``repeats`` is not positive, there
            are less than two features, or a stride is missing between them.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        channels: list[int] | None = None,
        block: Literal["C3", "C2f", "separable"] = "C3",
        repeats: int = 1,
    ) -> None:
        super().__init__()
        self.out_channels = list(in_channels if channels is None else channels)
        self.out_strides = list(in_strides)
        self._check(in_channels, repeats)
        self.adds = block == "separable"
        fine = self.out_channels[:-1]
        coarse = [*self.out_channels[1:-1], in_channels[-1]]
        enlarged = coarse if block == "C2f" else fine
        # Place i of each list goes between the levels i and i + 1.
        self.lateral = nn.ModuleList(
            nn.Identity() if block == "C2f" else silu_conv(before, after)
            for before, after in zip(coarse, enlarged, strict=True)
        )
        self.top_down = nn.ModuleList(
            _block(block, given + more, after, repeats)
            for given, more, after in zip(in_channels[:-1], enlarged, fine, strict=True)
        )
        self.reduce = nn.ModuleList(
            separable(one, one, stride=2) if self.adds else silu_conv(one, one, 3, stride=2)
            for one in fine
        )
        self.bottom_up = nn.ModuleList(
            _block(block, reduced if self.adds else reduced + met, after, repeats)
            for reduced, met, after in zip(fine, enlarged, self.out_channels[1:], strict=True)
        )

    def _check(self, in_channels: list[int], repeats: int) -> None:
        strides = self.out_strides
        if len(self.out_channels) != len(in_channels) or min(self.out_channels) < 2:
            raise ConfigError(
                f"channels of PAFPN are {self.out_channels}: give at least 2 for each of its "
                f"{len(in_channels)} features."
            )
        if repeats < 1:
            raise ConfigError(f"repeats of PAFPN is {repeats}: give at least 1.")
        if len(strides) < 2 or strides != [strides[0] * 2**i for i in range(len(strides))]:
            raise ConfigError(
                f"in_strides of PAFPN are {strides}: give at least two features, each of twice the "
                "stride of the one before."
            )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """See ``Neck.forward``."""
        levels = list(features)
        for place in range(len(levels) - 2, -1, -1):
            levels[place + 1] = self.lateral[place](levels[place + 1])
            enlarged = F.interpolate(levels[place + 1], size=levels[place].shape[-2:])
            levels[place] = self.top_down[place](torch.cat([enlarged, levels[place]], dim=1))
        for place in range(len(levels) - 1):
            reduced = self.reduce[place](levels[place])
            met = levels[place + 1]
            joined = reduced + met if self.adds else torch.cat([reduced, met], dim=1)
            levels[place + 1] = self.bottom_up[place](joined)
        return levels


def _block(name: str, in_channels: int, out_channels: int, repeats: int) -> nn.Module:
    if name == "separable":
        return separable(in_channels, out_channels, repeats)
    return CSP_BLOCKS[name](in_channels, out_channels, repeats, shortcut=False)
