"""Losses of decoded boxes by how much they overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from facezoo.geometry.iou import aligned_ciou, aligned_diou, aligned_giou, aligned_iou
from facezoo.models.losses.loss import RegressionLoss
from facezoo.registry import LOSSES


class OverlapLoss(RegressionLoss):
    """One minus a measure of overlap that is 1 for equal boxes."""

    space = "boxes"

    def overlap(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Returns the measure of boxes ``... x 4``, xyxy in pixels, row by row."""
        raise NotImplementedError

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``RegressionLoss.forward``."""
        selected = (mask != 0).unsqueeze(-1)
        # Rows that are not selected become equal boxes, so that nothing of what they hold, NaN
        # included, reaches a gradient.
        unit = (torch.arange(4, device=prediction.device) >= 2).float()  # no copy to a GPU
        prediction = torch.where(selected, prediction.float(), unit)
        target = torch.where(selected, target.float(), unit)
        return (1 - self.overlap(prediction, target)) * mask * self.weight


@LOSSES.register("IoU")
class IoULoss(OverlapLoss):
    """1 - IoU; no gradient where the boxes do not touch."""

    def overlap(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``aligned_iou``."""
        return aligned_iou(prediction, target)


@LOSSES.register("GIoU")
class GIoULoss(OverlapLoss):
    """1 - GIoU (Rezatofighi et al. 2019, algorithm 1)."""

    def overlap(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``aligned_giou``."""
        return aligned_giou(prediction, target)


@LOSSES.register("DIoU")
class DIoULoss(OverlapLoss):
    """1 - DIoU (Zheng et al. 2020, equation 7)."""

    def overlap(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``aligned_diou``."""
        return aligned_diou(prediction, target)


@LOSSES.register("CIoU")
class CIoULoss(OverlapLoss):
    """1 - CIoU (Zheng et al. 2020, equation 10)."""

    def overlap(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``aligned_ciou``."""
        return aligned_ciou(prediction, target)
