"""The priors that a head predicts at: anchors of given sides at each cell's centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.structures import Grid

Sides = float | tuple[float, float]
"""The side of a square anchor in pixels, or width and height."""


class AnchorGrid(nn.Module):
    """Anchors at the centre of every cell of every level (Liu et al. 2016, section 2.2).

    The anchors of the cell in row i and column j of a level of stride s have their centre at
    ((j + 0.5) s, (i + 0.5) s). Rows of the grid are ordered by level, row, column, anchor. A head
    without anchors, which predicts at points, has one anchor a cell, of the cell's own size.

    Args:
        anchors: sides in pixels per stride, such as ``{8: [16, 32], 16: [64, 128]}`` for squares
            and ``{8: [[4, 5], [8, 10]]}`` for others.
        in_strides: the strides of the features, fine to coarse.

    Attributes:
        anchors_per_cell: number of anchors of a cell, per level.

    Raises:
        ConfigError: the strides of ``anchors`` are not those of the features, or a level has no
            anchor, or a side is not positive.
    """

    def __init__(self, anchors: Mapping[int, Sequence[Sides]], in_strides: Sequence[int]) -> None:
        super().__init__()
        if sorted(anchors) != sorted(in_strides):
            raise ConfigError(
                f"anchors are given for the strides {sorted(anchors)}, but the features have the "
                f"strides {sorted(in_strides)}: give the sides of the anchors for each of these."
            )
        self.strides = tuple(in_strides)
        self.sides_wh = tuple(_sides_wh(stride, anchors[stride]) for stride in in_strides)
        self.anchors_per_cell = [len(sides) for sides in self.sides_wh]

    def forward(self, feature_sizes: Sequence[tuple[int, int]], device: torch.device | str) -> Grid:
        """Returns the priors of feature maps of these sizes.

        Args:
            feature_sizes: height and width in cells per level, fine to coarse.
            device: where the grid is made, without a copy from the host.
        """
        levels, shapes = [], []
        for (height, width), stride, sides in zip(
            feature_sizes, self.strides, self.sides_wh, strict=True
        ):
            levels.append(_level(height, width, stride, sides, device))
            shapes.append((height, width, len(sides)))
        strides = [
            level.new_full((level.shape[0],), stride)
            for level, stride in zip(levels, self.strides, strict=True)
        ]
        sizes = tuple(height * width * count for height, width, count in shapes)
        return Grid(torch.cat(levels), torch.cat(strides), sizes, tuple(shapes))

    def extra_repr(self) -> str:
        """Returns the sides of the anchors per stride."""
        return ", ".join(
            f"{stride}: {[one[0] if one[0] == one[1] else list(one) for one in sides]}"
            for stride, sides in zip(self.strides, self.sides_wh, strict=True)
        )


def _sides_wh(stride: int, anchors: Sequence[Sides]) -> tuple[tuple[float, float], ...]:
    sides = tuple(
        (side, side) if isinstance(side, int | float) else (side[0], side[1]) for side in anchors
    )
    if not sides or min(map(min, sides)) <= 0:
        raise ConfigError(
            f"anchors of stride {stride} are {list(anchors)}: give at least one side, each of more "
            "than 0 pixels."
        )
    return sides


def _level(
    height: int,
    width: int,
    stride: int,
    sides_wh: tuple[tuple[float, float], ...],
    device: torch.device | str,
) -> Tensor:
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) * stride
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) * stride
    widths = torch.stack([x.new_full((), one) for one, _ in sides_wh])
    heights = torch.stack([x.new_full((), one) for _, one in sides_wh])
    shape = (height, width, len(sides_wh))
    priors = [
        x.view(1, -1, 1).expand(shape),
        y.view(-1, 1, 1).expand(shape),
        widths.expand(shape),
        heights.expand(shape),
    ]
    return torch.stack(priors, dim=-1).flatten(0, 2)
