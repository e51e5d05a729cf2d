"""Assignment by the least cost, to as many priors as predict the face well already."""

import math

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import aligned_iou
from facezoo.models.assigners.assigner import (
    Assignment,
    Decoded,
    PredictionAssigner,
    best_face_per_prior,
    gather_faces,
)
from facezoo.models.assigners.best_priors import best_priors, gather_class, gather_priors, is_inside
from facezoo.registry import ASSIGNERS
from facezoo.structures import Grid, Targets

_AWAY = 1000.0
"""Factor of the cost of a candidate away from the face's middle, which puts it after all others: a
large summand would leave float32 too few digits to tell such candidates apart."""

_LARGEST_IOU_WEIGHT = 50.0
"""Up to it no candidate in the middle costs as much as the cheapest one away from it."""

_ROUNDING = 1e-5
"""Slack of the sum of IoUs, which rounding must not keep from a whole number."""

_LEAST_IOU = 1e-8
_LEAST_PROBABILITY = 1e-7


@ASSIGNERS.register
class SimOTA(PredictionAssigner):
    """Simplified optimal transport (Ge et al. 2021, YOLOX, section 2.1).

    The candidates of a face are the priors whose centre lies inside it or within ``radius`` strides
    of its centre on both axes; those for which not both hold come after all others. The cost of a
    candidate is the binary cross-entropy of its scores, summed over classes, plus ``iou_weight``
    times -log IoU. The face matches the k cheapest candidates, k being the sum of its ``top_k``
    largest IoUs with candidates, rounded down, at least 1. A prior that several faces match goes
    to the one with the lower cost. Equals are settled by lower index. The quality of a
    prior is the IoU of its prediction and its face.

    A face looks at its own candidates alone, whereas YOLOX lets it take those of others at the end.
    The scores are taken as they come. YOLOX's own code takes the square root of class times
    objectness, which for one class halves the first part of the cost: for a head whose score is the
    product, ``iou_weight=6`` is the same.

    Memory beyond results of B x N: see ``best_priors``; at 2,000 faces in each of 4 images of
    640 px 42 MiB, a sixth of a table of all pairs of face and point, unless compiled.

    Args:
        radius: strides from the face's centre.
        top_k: the most priors that a face matches.
        iou_weight: factor of -log IoU in the cost.
    """

    def __init__(
        self,
        radius: float = 2.5,
        top_k: int = 10,
        iou_weight: float = 3.0,
        ignore_overlap: float = 0.5,
    ) -> None:
        super().__init__(top_k, ignore_overlap)
        if radius <= 0:
            raise ConfigError(f"radius of SimOTA is {radius}: it has to be more than 0.")
        if not 0 <= iou_weight <= _LARGEST_IOU_WEIGHT:
            raise ConfigError(
                f"iou_weight of SimOTA is {iou_weight}: give 0 to {_LARGEST_IOU_WEIGHT:g}."
            )
        self.radius = radius
        self.iou_weight = iou_weight

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``."""
        assert decoded is not None
        predicted, scores = decoded
        boxes, count = targets.boxes.float(), grid.priors.shape[0]
        valid = targets.valid & ~targets.ignore
        class_costs = _class_costs(scores)
        priors = torch.cat([grid.priors[:, :2], grid.strides.unsqueeze(-1)], dim=-1)
        priors = priors.expand(boxes.shape[0], -1, -1)

        def candidates(part: slice, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            """Returns IoU, whether a candidate, and whether away from the middle, B x g x M."""
            iou = aligned_iou(gather_priors(predicted, prior), boxes[:, part, None])
            inside, near = self._places(gather_priors(priors, prior), boxes[:, part, None])
            return iou, (inside | near) & valid[:, part, None], ~(inside & near)

        def overlap(part: slice, prior: Tensor) -> Tensor:
            iou, candidate, _ = candidates(part, prior)
            return torch.where(candidate, iou, -torch.inf)

        def cheapness(part: slice, prior: Tensor) -> Tensor:
            iou, candidate, away = candidates(part, prior)
            cost = gather_class(gather_priors(class_costs, prior), targets.labels[:, part, None])
            cost = cost - self.iou_weight * (iou + _LEAST_IOU).log()
            cost = torch.where(away, (1 + cost) * _AWAY, cost)
            return torch.where(candidate, -cost, -torch.inf)

        largest_iou, _ = best_priors(overlap, boxes, count, self.top_k)
        fitting = largest_iou.clamp(min=0).sum(dim=-1, keepdim=True)
        wanted = (fitting + _ROUNDING).floor().clamp(min=1)
        cheap, prior = best_priors(cheapness, boxes, count, self.top_k)
        rank = torch.arange(prior.shape[-1], device=prior.device)
        index = best_face_per_prior(prior, cheap, cheap.isfinite() & (rank < wanted), count)
        iou = aligned_iou(predicted, gather_faces(boxes, index))
        return Assignment(index, torch.where(index >= 0, iou, 0.0))

    def _places(self, priors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns whether priors (... x 3: centre, stride) lie inside boxes, near their centres."""
        points, stride = priors.split([2, 1], dim=-1)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        reach = self.radius * stride
        nearby = torch.cat([points - reach, points + reach], dim=-1)
        return is_inside(points, boxes), is_inside(centre, nearby)


def _class_costs(scores: Tensor) -> Tensor:
    """Returns the cross-entropy of the scores B x N x C if a class were the true one, B x N x C."""
    # Not the score is clamped but its logarithm: near 1 float32 would turn 1e-7 into 1.2e-7.
    scores, largest = scores.float(), -math.log(_LEAST_PROBABILITY)
    present = (-scores.log()).clamp(max=largest)
    absent = (-torch.log1p(-scores)).clamp(max=largest)
    return absent.sum(dim=-1, keepdim=True) - absent + present
