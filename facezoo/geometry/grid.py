"""The priors that a head predicts at: anchors of given sides at each cell's centre."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.structures import Grid


class AnchorGrid(nn.Module):
    """Square anchors at the centre of every cell of every level (Liu et al. 2016, section 2.2).

    The anchors of the cell in row i and column j of a level of stride s have their centre at
    ((j + 0.5) s, (i + 0.5) s). Rows of the grid are ordered by level, row, column, anchor.

    Args:
        anchors: sides in pixels per stride, such as ``{8: [16, 32], 16: [64, 128]}``.
        in_strides: the strides of the features, fine to coarse.

    Attributes:
        anchors_per_cell: number of anchors of a cell, per level.

    Raises:
        ConfigError: the strides of ``anchors`` are not those of the features, or a level has no
            anchor, or a side is not positive.
    """

    def __init__(self, anchors: dict[int, list[float]], in_strides: Sequence[int]) -> None:
        super().__init__()
        if sorted(anchors) != sorted(in_strides):
            raise ConfigError(
                f"anchors are given for the strides {sorted(anchors)}, but the features have the "
                f"strides {sorted(in_strides)}: give the sides of the anchors for each of these."
            )
        for stride, sides in anchors.items():
            if not sides or min(sides) <= 0:
                raise ConfigError(
                    f"anchors of stride {stride} are {list(sides)}: give at least one side, each "
                    "of more than 0 pixels."
                )
        self.strides = tuple(in_strides)
        self.sides = tuple(tuple(anchors[stride]) for stride in in_strides)
        self.anchors_per_cell = [len(sides) for sides in self.sides]

    def forward(self, feature_sizes: Sequence[tuple[int, int]], device: torch.device | str) -> Grid:
        """Returns the priors of feature maps of these sizes.

        Args:
            feature_sizes: height and width in cells per level, fine to coarse.
            device: where the grid is made, without a copy from the host.
        """
        levels, shapes = [], []
        for (height, width), stride, sides in zip(
            feature_sizes, self.strides, self.sides, strict=True
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
            f"{stride}: {list(sides)}"
            for stride, sides in zip(self.strides, self.sides, strict=True)
        )


def _level(
    height: int, width: int, stride: int, sides: tuple[float, ...], device: torch.device | str
) -> Tensor:
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) * stride
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) * stride
    side = torch.stack([x.new_full((), side) for side in sides])
    shape = (height, width, len(sides))
    priors = [
        x.view(1, -1, 1).expand(shape),
        y.view(-1, 1, 1).expand(shape),
        side.expand(shape),
        side.expand(shape),
    ]
    return torch.stack(priors, dim=-1).flatten(0, 2)
