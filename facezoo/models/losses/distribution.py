"""Distribution focal loss: a distance is learnt as the mean of a distribution over bins."""

from __future__ import annotations

import torch
from torch import Tensor

from facezoo.models.losses.loss import Loss
from facezoo.registry import LOSSES

_BEFORE_LAST_BIN = 0.01
"""Bins that a target stays away from the last one, so that there is always a bin beyond it."""


@LOSSES.register
class DistributionFocal(Loss):
    """Cross-entropy of the two bins around the target, by nearness; the mean over four sides.

    Li et al. 2020 (generalized focal loss), equation 6. Targets are in bins, 0 to R - 1 for R bins;
    one beyond is taken as 0 or R - 1.01, as a face farther away than the last bin is out of reach.

    Args:
        weight: factor of the loss in the total.
    """

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Returns the loss per prior.

        Args:
            prediction: B x N x 4R, logits of the bins: R for left, top, right and bottom in turn.
            target: B x N x 4, in bins; what it and the prediction hold where nothing is selected
                does not matter, NaN included.
            mask: B x N, bool or a factor, zero where nothing is selected.

        Returns:
            B x N, float32.

        Raises:
            ValueError: the prediction has not four times at least two bins.
        """
        bins, rest = divmod(prediction.shape[-1], 4)
        if bins < 2 or rest:
            raise ValueError(
                "DistributionFocal takes logits of at least two bins for each of four sides, got "
                f"a prediction of {tuple(prediction.shape)}"
            )
        selected = (mask != 0).unsqueeze(-1)
        logits = torch.where(selected, prediction.float(), 0.0).unflatten(-1, (4, bins))
        target = torch.where(selected, target.float(), 0.0).clamp(0, bins - 1 - _BEFORE_LAST_BIN)
        before = target.floor()
        share = (target - before).unsqueeze(-1)  # of the bin after the target
        index = before.long().unsqueeze(-1)
        log = logits.log_softmax(dim=-1)
        near = log.gather(-1, index) * (1 - share) + log.gather(-1, index + 1) * share
        return -near.squeeze(-1).mean(dim=-1) * mask * self.weight
