"""Quality focal loss: the score of a face learns how good its box is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.losses.loss import IGNORE, ClassLoss, class_targets
from facezoo.registry import LOSSES

_SMALLEST_DISTANCE = 1e-12
"""Between a score and its target: far below what float32 tells apart."""


@LOSSES.register
class QualityFocal(ClassLoss):
    """Cross-entropy times how far the score is from its target, to a power.

    Li et al. 2020 (generalized focal loss), equation 2, summed over classes: |y - p|^beta times
    the binary cross-entropy of the score p against the target y, which is 0 for background.

    Args:
        beta: exponent that takes weight from priors already right.
        weight: factor of the loss in the total.
    """

    soft = True

    def __init__(self, beta: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if beta < 0:
            raise ConfigError(f"beta of QualityFocal is {beta}: it cannot be below 0.")
        self.beta = beta

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
    ) -> Tensor:
        """See ``ClassLoss.forward``."""
        logits = logits.float()
        targets = class_targets(labels, logits.shape[-1], quality)
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        # A score that equals its target has no slope for an exponent below 1, so it is kept apart.
        distance = (targets - logits.sigmoid()).abs().clamp(min=_SMALLEST_DISTANCE)
        loss = (loss * distance**self.beta).sum(dim=-1)
        loss = torch.where(labels != IGNORE, loss * self.weight, 0.0)
        return loss if weights is None else loss * weights
