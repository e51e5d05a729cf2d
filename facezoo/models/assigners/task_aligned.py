"""Assignment by how well the score and the box of a prediction agree with a face."""

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import aligned_iou, cxcywh_to_xyxy, xyxy_to_cxcywh
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

_TINY = torch.finfo(torch.float32).tiny


@ASSIGNERS.register
class TaskAligned(PredictionAssigner):
    """Task-aligned assignment (Feng et al. 2021, TOOD, section 3.2), as YOLOv8 uses it.

    The candidates of a face are the priors whose centre lies inside it. Of these it matches the
    ``top_k`` with the largest metric, score^alpha x IoU^beta of the prediction; a prior that
    several faces match goes to the one with the larger IoU. Equals are settled by lower index. The
    quality of a prior is its metric, scaled so that the best prior of a face has the largest IoU of
    the face's priors; it is also the factor of the prior in the regression losses.

    The overlap is IoU, as in the paper, whereas YOLOv8 takes CIoU: so the quality is an IoU of
    predictions, and a box of another shape is not punished twice. A prior is contested among the
    faces that match it, where YOLOv8 looks at every face that the prior lies in.

    Memory beyond results of B x N: see ``best_priors``; at 2,000 faces in each of 4 images of
    640 px 42 MiB, a sixth of a table of all pairs of face and point, unless compiled.

    Args:
        top_k: priors that a face matches.
        alpha: exponent of the score.
        beta: exponent of the IoU.
        min_size: pixels; a face's candidates are sought in a box around its centre that has at
            least these sides. 0 gives no prior to a face that holds no centre, as in YOLOv8; YOLO26
            takes the second finest stride for sides below the finest (8 and 16 pixels).
    """

    def __init__(
        self,
        top_k: int = 10,
        alpha: float = 0.5,
        beta: float = 6.0,
        min_size: float = 0.0,
        ignore_overlap: float = 0.5,
    ) -> None:
        super().__init__(top_k, ignore_overlap)
        if alpha < 0 or beta < 0:
            raise ConfigError(
                f"alpha of TaskAligned is {alpha} and beta {beta}: neither can be below 0."
            )
        if min_size < 0:
            raise ConfigError(f"min_size of TaskAligned is {min_size}: it cannot be below 0.")
        self.alpha = alpha
        self.beta = beta
        self.min_size = min_size

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``."""
        assert decoded is not None
        predicted, scores = decoded
        boxes, count = targets.boxes.float(), grid.priors.shape[0]
        valid = targets.valid & ~targets.ignore
        region = self._region(boxes)
        points = grid.priors[:, :2].expand(boxes.shape[0], -1, -1)

        def measure(part: slice, prior: Tensor) -> Tensor:
            iou = aligned_iou(gather_priors(predicted, prior), boxes[:, part, None])
            score = gather_class(gather_priors(scores, prior), targets.labels[:, part, None])
            candidate = is_inside(gather_priors(points, prior), region[:, part, None])
            candidate &= valid[:, part, None]
            return torch.where(candidate, self._metric(score, iou), -torch.inf)

        metric, prior = best_priors(measure, boxes, count, self.top_k)
        iou = aligned_iou(gather_priors(predicted, prior), boxes.unsqueeze(2))
        index = best_face_per_prior(prior, iou, metric.isfinite(), count)
        quality = self._quality(targets, predicted, scores, index)
        return Assignment(index, quality, quality)

    def _region(self, boxes: Tensor) -> Tensor:
        """Returns the boxes B x G x 4 that hold the faces' candidates."""
        if self.min_size == 0:
            return boxes
        centre, size = xyxy_to_cxcywh(boxes).split(2, dim=-1)
        return cxcywh_to_xyxy(torch.cat([centre, size.clamp(min=self.min_size)], dim=-1))

    def _metric(self, score: Tensor, iou: Tensor) -> Tensor:
        return score**self.alpha * iou**self.beta

    def _quality(
        self, targets: Targets, predicted: Tensor, scores: Tensor, index: Tensor
    ) -> Tensor:
        """Returns B x N; 0 where a prior has no face."""
        positive, faces = index >= 0, targets.valid.shape[1]
        iou = aligned_iou(predicted, gather_faces(targets.boxes.float(), index))
        metric = self._metric(gather_class(scores, gather_faces(targets.labels, index)), iou)
        slot = torch.where(positive, index, faces)  # column G takes what is no face's
        largest = [
            values.new_zeros(len(index), faces + 1).scatter_reduce(1, slot, values, "amax")
            for values in (metric, iou)
        ]
        best_metric, best_iou = (values.gather(1, slot) for values in largest)
        quality = metric / best_metric.clamp(min=_TINY) * best_iou
        return torch.where(positive, quality, 0.0)
