"""Smooth L1 of encoded boxes or landmarks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.losses.loss import RegressionLoss
from facezoo.registry import LOSSES


@LOSSES.register
class SmoothL1(RegressionLoss):
    """Squared near zero, absolute beyond, summed over D (Girshick 2015, equation 3).

    Args:
        beta: where the square ends, in encoded units; 0 makes it the absolute error.
        weight: factor of the loss in the total.
    """

    space = "encoded"

    def __init__(self, beta: float = 1.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if beta < 0:
            raise ConfigError(f"beta of SmoothL1 is {beta}: it cannot be below 0.")
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``RegressionLoss.forward``."""
        prediction = prediction.float()
        target = torch.where(mask != 0, target.float(), prediction.detach())
        loss = F.smooth_l1_loss(prediction, target, reduction="none", beta=self.beta)
        return (loss * mask).sum(dim=-1) * self.weight
