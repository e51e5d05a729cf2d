"""Assignment by the shape of an anchor, at the cells around a face's centre."""

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.models.assigners.assigner import Assigner, Assignment, Decoded, best_face_per_prior
from facezoo.registry import ASSIGNERS
from facezoo.structures import Grid, Targets


@ASSIGNERS.register
class RatioRule(Assigner):
    """The rule of YOLOv5 (Jocher 2020) and YOLO5Face (Qi et al. 2021).

    A face matches the anchors whose sides differ from its own by less than a factor of
    ``max_ratio``, on every level: those of the cell that holds its centre and of the neighbours on
    the sides of the nearer borders, as far as the map has them; neither neighbour of a centre in
    the very middle. A face whose centre lies outside of the map matches nothing.

    A prior has one face, the one whose sides differ least (by the larger factor of the two), then
    the lower index, whereas YOLOv5 trains it on each face that matches it.

    Memory beyond results of B x N: a few numbers per face, anchor and cell.

    Args:
        max_ratio: factor between a side of the face and of the anchor that is too much.
        neighbours: whether the neighbours of the cell match too.
    """

    def __init__(
        self, max_ratio: float = 4.0, neighbours: bool = True, ignore_overlap: float = 0.5
    ) -> None:
        super().__init__(ignore_overlap)
        if max_ratio <= 1:
            raise ConfigError(f"max_ratio of RatioRule is {max_ratio}: it has to be more than 1.")
        self.max_ratio = max_ratio
        self.neighbours = neighbours

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``; ``decoded`` is not looked at.

        Raises:
            ValueError: the grid does not say the shapes of its levels.
        """
        if not grid.level_shapes:
            raise ValueError("RatioRule needs a grid whose level_shapes say its rows and columns")
        boxes = targets.boxes.float()
        valid = targets.valid & ~targets.ignore
        priors, ratios, matches, first = [], [], [], 0
        for size, (rows, columns, anchors) in zip(grid.level_sizes, grid.level_shapes, strict=True):
            level = grid.priors[first : first + size].view(rows, columns, anchors, 4)
            ratio = _ratio(boxes, level[0, 0, :, 2:])  # B x G x A
            cell, exists = self._cells(boxes, grid.strides[first], rows, columns)
            prior = cell.unsqueeze(-1) * anchors + torch.arange(anchors, device=boxes.device)
            fits = (ratio < self.max_ratio) & valid.unsqueeze(-1)
            priors.append((first + prior).flatten(2))
            ratios.append(ratio.unsqueeze(2).expand_as(prior).flatten(2))
            matches.append((exists.unsqueeze(-1) & fits.unsqueeze(2)).flatten(2))
            first += size
        prior, ratio, match = (torch.cat(part, dim=-1) for part in (priors, ratios, matches))
        index = best_face_per_prior(prior, -ratio, match, grid.priors.shape[0])
        return Assignment(index)

    def _cells(
        self, boxes: Tensor, stride: Tensor, rows: int, columns: int
    ) -> tuple[Tensor, Tensor]:
        """Returns the cells B x G x (1 or 3) that a face matches on a level, and which exist.

        A cell is row x columns + column, 0 where it does not exist.
        """
        x, y = ((boxes[..., :2] + boxes[..., 2:]) / 2 / stride).unbind(dim=-1)
        column, row = x.floor(), y.floor()
        cells = [(row, column)]
        if self.neighbours:
            beside, above = (x - column - 0.5).sign(), (y - row - 0.5).sign()
            cells += [(row, column + beside), (row + above, column)]
        row, column = (torch.stack(part, dim=-1) for part in zip(*cells, strict=True))
        exists = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        # A face's own cell outside of the map matches nothing, not even through a neighbour inside.
        exists = exists & exists[..., :1]
        return torch.where(exists, row * columns + column, 0.0).long(), exists


def _ratio(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Returns the larger factor between the sides of boxes B x G x 4 and sizes A x 2, B x G x A."""
    sides = (boxes[..., 2:] - boxes[..., :2]).unsqueeze(2)
    return torch.maximum(sides / sizes, sizes / sides).amax(dim=-1)
