"""Assignment by a threshold of its own for each face."""

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import aligned_iou, cxcywh_to_xyxy
from facezoo.models.assigners.assigner import Assigner, Assignment, Decoded, best_face_per_prior
from facezoo.models.assigners.best_priors import is_inside
from facezoo.registry import ASSIGNERS
from facezoo.structures import Grid, Targets

_ROUNDING = 1e-6
"""Slack of the threshold: candidates of one same IoU must reach their own mean."""


@ASSIGNERS.register
class ATSS(Assigner):
    """Adaptive training sample selection (Zhang et al. 2020, algorithm 1).

    The candidates of a face are, on each level, the anchors of the ``top_k`` cells nearest to its
    centre (as in the paper's own code, which takes top_k anchors times anchors per cell). Those
    are positive whose IoU with the face reaches the mean plus the standard deviation over all its
    candidates, and whose centre lies inside it. A prior with several such faces belongs to the one
    with the larger IoU. Equals are settled by lower index. A face that holds no cell's centre gets
    no prior.

    Memory: about (top_k ln top_k) x levels numbers per face, not one per face and prior.

    Args:
        top_k: cells per level that a face looks at.
    """

    def __init__(self, top_k: int = 9, ignore_overlap: float = 0.5) -> None:
        super().__init__(ignore_overlap)
        if top_k < 1:
            raise ConfigError(f"top_k of ATSS is {top_k}: it has to be at least 1.")
        self.top_k = top_k

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``; ``decoded`` is not looked at.

        Raises:
            ValueError: the grid does not say the shapes of its levels.
        """
        if not grid.level_shapes:
            raise ValueError("ATSS needs a grid whose level_shapes say its rows and columns")
        boxes = targets.boxes.float()
        prior, exists = self._candidates(grid, boxes)
        priors = grid.priors[prior]  # B x G x K x 4
        iou = aligned_iou(cxcywh_to_xyxy(priors), boxes.unsqueeze(2))
        inside = is_inside(priors[..., :2], boxes.unsqueeze(2))
        threshold = _mean_plus_deviation(iou, exists)
        valid = (targets.valid & ~targets.ignore).unsqueeze(-1)
        matches = valid & exists & inside & (iou >= threshold - _ROUNDING)
        index = best_face_per_prior(prior, iou, matches, grid.priors.shape[0])
        return Assignment(index)

    def _candidates(self, grid: Grid, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the candidates B x G x K as priors, and which of them exist."""
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        priors, exist, first = [], [], 0
        for size, (rows, columns, anchors) in zip(grid.level_sizes, grid.level_shapes, strict=True):
            cells = grid.priors[first : first + size].view(rows, columns, anchors, 4)
            cell, exists = self._nearest_cells(cells[0, :, 0, 0], cells[:, 0, 0, 1], centre)
            anchor = torch.arange(anchors, device=boxes.device)
            prior = first + cell.unsqueeze(-1) * anchors + anchor
            priors.append(prior.flatten(2))
            exist.append(exists.unsqueeze(-1).expand_as(prior).flatten(2))
            first += size
        return torch.cat(priors, dim=-1), torch.cat(exist, dim=-1)

    def _nearest_cells(self, x: Tensor, y: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Returns row x W + column of the ``top_k`` cells nearest to each centre, and which exist.

        The cell in the p-th nearest column and the q-th nearest row has at least p q - 1 cells
        no farther than itself, so only cells with p q <= top_k come into question: 23 for 9.
        """
        dx, column = _nearest(x, centre[..., 0], self.top_k)
        dy, row = _nearest(y, centre[..., 1], self.top_k)
        # Slices, not lists of indices, which would have to be copied to a GPU.
        near = [(slice(p, p + 1), slice(self.top_k // (p + 1))) for p in range(self.top_k)]
        distance = torch.cat([dx[..., p] ** 2 + dy[..., q] ** 2 for p, q in near], dim=-1)
        cell = torch.cat([row[..., q] * x.shape[0] + column[..., p] for p, q in near], dim=-1)
        # Two stable sorts order by distance, then by index.
        cell, order = cell.sort(dim=-1, stable=True)
        distance, nearest = distance.gather(-1, order).sort(dim=-1, stable=True)
        exists = distance[..., : self.top_k].isfinite()
        return cell.gather(-1, nearest[..., : self.top_k]) * exists, exists


def _nearest(places: Tensor, centre: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns distance and index of the ``count`` places nearest to each centre, nearest first.

    Where there are fewer places, the rest is at distance inf.
    """
    beyond = places.new_full((count,), torch.inf)
    distance = (torch.cat([places, beyond]) - centre.unsqueeze(-1)).abs()
    distance, index = distance.sort(dim=-1, stable=True)
    return distance[..., :count], index[..., :count]


def _mean_plus_deviation(iou: Tensor, exists: Tensor) -> Tensor:
    """Returns B x G x 1; the deviation is the sample's, as in the paper's code."""
    count = exists.sum(dim=-1, keepdim=True)
    mean = (iou * exists).sum(dim=-1, keepdim=True) / count
    squares = ((iou - mean) ** 2 * exists).sum(dim=-1, keepdim=True)
    return mean + (squares / (count - 1).clamp(min=1)).sqrt()
