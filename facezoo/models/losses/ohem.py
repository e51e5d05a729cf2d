"""Online hard example mining: all faces, and only the hardest of the background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.losses.loss import BACKGROUND, ClassLoss, class_targets
from facezoo.registry import LOSSES


@LOSSES.register
class OHEM(ClassLoss):
    """Binary cross-entropy of positives and, per image, of the negatives with the largest loss.

    The hard negative mining of SSD (Liu et al. 2016, section 2.2) as RetinaFace uses it (Deng et
    al. 2020, section 4.1), on one logit: a two-class softmax is the sigmoid of the difference of
    its logits. Negatives of equal loss are taken by lower index. A quality changes the targets of
    positives, not which priors count.

    Args:
        negative_ratio: negatives per positive of the same image.
        min_negatives: negatives taken at least, so that an image without faces teaches too.
        weight: factor of the loss in the total.
    """

    soft = True

    def __init__(
        self, negative_ratio: float = 7.0, min_negatives: int = 16, weight: float = 1.0
    ) -> None:
        super().__init__(weight)
        if negative_ratio < 0 or min_negatives < 0:
            raise ConfigError(
                f"negative_ratio of OHEM is {negative_ratio} and min_negatives {min_negatives}: "
                "neither can be below 0."
            )
        self.negative_ratio = negative_ratio
        self.min_negatives = min_negatives

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
    ) -> Tensor:
        """See ``ClassLoss.forward``.

        Raises:
            ValueError: there is more than one class.
        """
        if logits.shape[-1] != 1:
            raise ValueError(f"OHEM takes one logit per prior, got logits of {tuple(logits.shape)}")
        logit = logits.squeeze(-1).float()
        positive = labels >= 0
        targets = class_targets(labels, 1, quality).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logit, targets, reduction="none")
        selected = positive | self._hard_negatives(logit.detach(), labels, positive)
        loss = torch.where(selected, loss * self.weight, 0.0)
        return loss if weights is None else loss * weights

    def _hard_negatives(self, logit: Tensor, labels: Tensor, positive: Tensor) -> Tensor:
        """Returns the mask B x N of the negatives that count."""
        negative = labels == BACKGROUND
        wanted = (positive.sum(dim=1, keepdim=True) * self.negative_ratio).long()
        wanted = wanted.clamp(min=self.min_negatives)
        # The loss of a negative grows with its logit, so the logits give the order.
        hardness = torch.where(negative, logit, -torch.inf)
        order = hardness.argsort(dim=1, descending=True, stable=True)
        place = torch.arange(logit.shape[1], device=logit.device).expand_as(order)
        rank = torch.empty_like(order).scatter_(1, order, place)
        return negative & (rank < wanted)
