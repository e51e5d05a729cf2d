"""RetinaFace's rule: assignment by the largest IoU, with a best anchor for every face."""

from __future__ import annotations

import torch

from facezoo.errors import ConfigError
from facezoo.models.assigners.assigner import Assigner, Assignment, Decoded, best_face_per_prior
from facezoo.models.assigners.overlap import best_overlaps, r_of_iou
from facezoo.models.losses.loss import BACKGROUND, IGNORE
from facezoo.registry import ASSIGNERS
from facezoo.structures import Grid, Targets


@ASSIGNERS.register
class MaxIoU(Assigner):
    """The two thresholds and the best-anchor rule of RetinaFace (Deng et al. 2020, section 4.1).

    A prior is matched to the face it overlaps most if their IoU reaches ``positive_iou``; it is
    background below ``negative_iou`` and ignored in between. Whatever its IoU, the best prior of a
    face is matched to it if their IoU reaches ``best_anchor_iou``; of several such faces it
    takes the one with the larger IoU. Equals are settled by lower index, of face and prior.

    Memory beyond results of B x N: at most 128 MiB, whatever the number of faces.

    Args:
        positive_iou: IoU from which a prior is positive.
        negative_iou: IoU below which a prior is background.
        best_anchor_iou: IoU from which a face has its best prior for sure.
        ignore_overlap: see ``Assigner``.
    """

    def __init__(
        self,
        positive_iou: float = 0.5,
        negative_iou: float = 0.3,
        best_anchor_iou: float = 0.2,
        ignore_overlap: float = 0.5,
    ) -> None:
        super().__init__(ignore_overlap)
        if not 0 < negative_iou <= positive_iou <= 1:
            raise ConfigError(
                f"negative_iou of MaxIoU is {negative_iou} and positive_iou {positive_iou}: they "
                "have to be more than 0, at most 1, and the negative one not above the positive."
            )
        self.positive_iou = positive_iou
        self.negative_iou = negative_iou
        self.best_anchor_iou = best_anchor_iou

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``; ``decoded`` is not looked at."""
        boxes = targets.boxes.float()
        valid = targets.valid & ~targets.ignore
        best = best_overlaps(grid, boxes, valid, r_of_iou(self.negative_iou))
        positive = best.prior_r >= r_of_iou(self.positive_iou)
        between = best.prior_r >= r_of_iou(self.negative_iou)
        index = torch.where(between, IGNORE, BACKGROUND)
        index = torch.where(positive, best.prior_face, index)

        matches = (best.face_r > 0) & (best.face_r >= r_of_iou(self.best_anchor_iou))
        prior, r, matches = (part.unsqueeze(-1) for part in (best.face_prior, best.face_r, matches))
        face = best_face_per_prior(prior, r, matches, grid.priors.shape[0])
        index = torch.where(face >= 0, face, index)
        return Assignment(index)
