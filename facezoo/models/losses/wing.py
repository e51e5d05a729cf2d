"""Wing loss of encoded landmarks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.models.losses.loss import RegressionLoss
from facezoo.registry import LOSSES


@LOSSES.register
class Wing(RegressionLoss):
    """Logarithmic for small errors, absolute for large ones, summed over D.

    Feng et al. 2018, equation 5; small errors, of which landmarks have many, weigh more than under
    smooth L1. The paper's numbers are for errors in pixels of a face crop.

    Args:
        width: error at which the logarithm ends (w of the paper), in encoded units.
        curvature: scale of the logarithm (epsilon of the paper), in encoded units.
        weight: factor of the loss in the total.
    """

    space = "encoded"

    def __init__(self, width: float = 10.0, curvature: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if width <= 0 or curvature <= 0:
            raise ConfigError(
                f"width of Wing is {width} and curvature {curvature}: each has to be more than 0."
            )
        self.width = width
        self.curvature = curvature

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``RegressionLoss.forward``."""
        prediction = prediction.float()
        target = torch.where(mask != 0, target.float(), prediction.detach())
        error = (prediction - target).abs()
        # Joins the two branches at ``width``.
        gap = self.width - self.width * math.log1p(self.width / self.curvature)
        loss = torch.where(
            error < self.width, self.width * torch.log1p(error / self.curvature), error - gap
        )
        return (loss * mask).sum(dim=-1) * self.weight
