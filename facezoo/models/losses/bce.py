"""Binary cross-entropy: every prior counts alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facezoo.models.losses.loss import IGNORE, ClassLoss, class_targets
from facezoo.registry import LOSSES


@LOSSES.register
class BCE(ClassLoss):
    """Binary cross-entropy of the sigmoid, summed over classes.

    The class and objectness loss of the YOLO family since YOLOv3 (Redmon and Farhadi 2018, section
    2.2); with a quality as target it is the class loss of YOLOX (Ge et al. 2021)
    and YOLOv8.

    Args:
        weight: factor of the loss in the total.
    """

    soft = True

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
    ) -> Tensor:
        """See ``ClassLoss.forward``."""
        targets = class_targets(labels, logits.shape[-1], quality)
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
        loss = torch.where(labels != IGNORE, loss.sum(dim=-1) * self.weight, 0.0)
        return loss if weights is None else loss * weights
