"""The priors that a head predicts at, and boxes and landmarks relative to them.

Shapes: B images, N priors, L landmarks. Codes are relative to the priors and strides of a ``Grid``
of N priors. All arithmetic is float32.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import xyxy_to_cxcywh
from facezoo.structures import Grid

Sides = float | tuple[float, float]
"""The side of a square anchor in pixels, or width and height."""

_SMALLEST_SIDE = 1e-3
"""Pixels; a box without area has a finite code, so that a masked row cannot make NaN."""

_LARGEST_LOG_RATIO = math.log(1000.0)
"""A decoded side is at most 1,000 times its prior's: an untrained network must not reach inf."""

_SMALLEST_SHARE = 1e-4
"""The values of a sigmoid have their limits at 0 and 1, whose logits are infinite."""


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


class BoxCodec:
    """Between boxes and the numbers that a network predicts for them.

    Attributes:
        outputs: numbers that a network predicts per prior.
    """

    outputs: int = 4

    def encode(self, grid: Grid, boxes_xyxy: Tensor) -> Tensor:
        """Returns the codes ``... x N x 4`` of one box ``... x N x 4`` in pixels per prior."""
        raise NotImplementedError

    def decode(self, grid: Grid, encoded: Tensor) -> Tensor:
        """Returns the boxes ``B x N x 4``, xyxy in pixels, of ``B x N x outputs``."""
        raise NotImplementedError


class SSDBoxCodec(BoxCodec):
    """Centre offsets in sides of the prior, sizes as logarithms, over variances.

    Liu et al. 2016, section 2.2, equation 2; the variances are those of its implementation.

    Args:
        variances: divisors of the centre's offset and of the logarithm of the size.
    """

    def __init__(self, variances: tuple[float, float] = (0.1, 0.2)) -> None:
        if min(variances) <= 0:
            raise ConfigError(f"variances are {variances}: each has to be more than 0.")
        self.centre_variance, self.size_variance = variances

    def encode(self, grid: Grid, boxes_xyxy: Tensor) -> Tensor:
        """See ``BoxCodec.encode``."""
        prior_centre, prior_size = grid.priors.float().split(2, dim=-1)
        centre, size = xyxy_to_cxcywh(boxes_xyxy.float()).split(2, dim=-1)
        offset = (centre - prior_centre) / (prior_size * self.centre_variance)
        log_ratio = torch.log(size.clamp(min=_SMALLEST_SIDE) / prior_size)
        return torch.cat([offset, log_ratio / self.size_variance], dim=-1)

    def decode(self, grid: Grid, encoded: Tensor) -> Tensor:
        """See ``BoxCodec.decode``."""
        prior_centre, prior_size = grid.priors.float().split(2, dim=-1)
        offset, log_ratio = encoded.float().split(2, dim=-1)
        centre = prior_centre + offset * self.centre_variance * prior_size
        ratio = torch.exp((log_ratio * self.size_variance).clamp(max=_LARGEST_LOG_RATIO))
        return _corners(centre, prior_size * ratio)


class YOLOBoxCodec(BoxCodec):
    """Sigmoids of a bounded reach: a stride around the cell's centre, four times the anchor.

    YOLOv5's form: centre = cell's centre + (2 sigmoid - 1) strides, side = (2 sigmoid)^2 sides of
    the anchor. No prediction can reach infinity.
    """

    def encode(self, grid: Grid, boxes_xyxy: Tensor) -> Tensor:
        """See ``BoxCodec.encode``; a box out of reach has the code of the nearest in reach."""
        prior_centre, prior_size = grid.priors.float().split(2, dim=-1)
        centre, size = xyxy_to_cxcywh(boxes_xyxy.float()).split(2, dim=-1)
        offset = (centre - prior_centre) / grid.strides.unsqueeze(-1)
        shares = torch.cat([(offset + 1) / 2, (size.clamp(min=0) / prior_size).sqrt() / 2], dim=-1)
        return torch.logit(shares, eps=_SMALLEST_SHARE)

    def decode(self, grid: Grid, encoded: Tensor) -> Tensor:
        """See ``BoxCodec.decode``."""
        prior_centre, prior_size = grid.priors.float().split(2, dim=-1)
        offset, size = (2 * encoded.float().sigmoid()).split(2, dim=-1)
        centre = prior_centre + (offset - 1) * grid.strides.unsqueeze(-1)
        return _corners(centre, prior_size * size.square())


class DistributionBoxCodec(BoxCodec):
    """Distances from the prior's centre to the four sides, each a distribution over bins.

    Li et al. 2020 (generalized focal loss), section 3.2: the distance is the mean of the
    distribution, in strides. A network predicts ``bins`` logits for left, top, right and bottom in
    turn; the codes that ``encode`` gives, targets of a distribution loss, are the distances.

    Args:
        bins: numbers of the distribution; the farthest distance is ``bins - 1`` strides.
    """

    def __init__(self, bins: int = 16) -> None:
        if bins < 2:
            raise ConfigError(f"bins is {bins}: give at least 2.")
        self.bins = bins
        self.outputs = 4 * bins

    def encode(self, grid: Grid, boxes_xyxy: Tensor) -> Tensor:
        """See ``BoxCodec.encode``: distances in strides, below 0 for a side beyond the centre."""
        centre = grid.priors[:, :2].float()
        corner1, corner2 = boxes_xyxy.float().split(2, dim=-1)
        distances = torch.cat([centre - corner1, corner2 - centre], dim=-1)
        return distances / grid.strides.unsqueeze(-1)

    def decode(self, grid: Grid, encoded: Tensor) -> Tensor:
        """See ``BoxCodec.decode``."""
        shares = encoded.float().unflatten(-1, (4, self.bins)).softmax(dim=-1)
        places = torch.arange(self.bins, dtype=torch.float32, device=encoded.device)
        # No matrix product: autocast would take it back to half precision.
        distances = (shares * places).sum(dim=-1) * grid.strides.unsqueeze(-1)
        before, after = distances.split(2, dim=-1)
        centre = grid.priors[:, :2].float()
        return torch.cat([centre - before, centre + after], dim=-1)


def _corners(centre: Tensor, size: Tensor) -> Tensor:
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


class LandmarkCodec:
    """Offsets of landmarks from the prior, in sides of the prior, over a variance.

    Deng et al. 2020 (RetinaFace), section 3.1.

    Args:
        variance: divisor of the offset.
        origin: where offsets begin: the prior's ``centre``, or the upper left ``corner`` of its
            cell, as in YOLO5Face (Qi et al. 2021).
    """

    def __init__(
        self, variance: float = 0.1, origin: Literal["centre", "corner"] = "centre"
    ) -> None:
        if variance <= 0:
            raise ConfigError(f"variance is {variance}: it has to be more than 0.")
        self.variance = variance
        self.origin = origin

    def encode(self, grid: Grid, landmarks: Tensor) -> Tensor:
        """Returns the codes ``... x N x 2L`` of landmarks ``... x N x L x 2`` in pixels."""
        origin, size = self._origin_and_size(grid)
        return ((landmarks.float() - origin) / (size * self.variance)).flatten(-2)

    def decode(self, grid: Grid, encoded: Tensor) -> Tensor:
        """Returns the landmarks ``B x N x L x 2`` in pixels of the codes ``B x N x 2L``."""
        origin, size = self._origin_and_size(grid)
        offsets = encoded.float().unflatten(-1, (-1, 2))
        return origin + offsets * self.variance * size

    def _origin_and_size(self, grid: Grid) -> tuple[Tensor, Tensor]:
        origin, size = grid.priors.float().unsqueeze(-2).split(2, dim=-1)
        if self.origin == "corner":
            origin = origin - grid.strides.view(-1, 1, 1) / 2
        return origin, size
