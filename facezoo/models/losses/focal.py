"""Focal loss: every prior counts, the easy ones little."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from facezoo.errors import ConfigError
from facezoo.models.losses.loss import IGNORE, ClassLoss, class_targets
from facezoo.registry import LOSSES


@LOSSES.register("Focal")
class FocalLoss(ClassLoss):
    """Focal loss of the sigmoid, summed over classes (Lin et al. 2017, equation 5).

    Args:
        alpha: weight of a face against background, 0 to 1.
        gamma: exponent that takes weight from priors already right.
        weight: factor of the loss in the total.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha of Focal is {alpha}: it has to be from 0 to 1.")
        if gamma < 0:
            raise ConfigError(f"gamma of Focal is {gamma}: it cannot be below 0.")
        self.alpha = alpha
        self.gamma = gamma

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
    ) -> Tensor:
        """See ``ClassLoss.forward``.

        Raises:
            ValueError: there is a quality.
        """
        if quality is not None:
            raise ValueError(
                "Focal takes no targets between 0 and 1: use QualityFocal with an assigner that "
                "gives a quality"
            )
        targets = class_targets(labels, logits.shape[-1], None)
        loss = sigmoid_focal_loss(logits.float(), targets, self.alpha, self.gamma).sum(dim=-1)
        loss = torch.where(labels != IGNORE, loss * self.weight, 0.0)
        return loss if weights is None else loss * weights
