"""Losses of boxes and landmarks; see ``class_losses`` for the vocabulary."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import aligned_ciou, aligned_diou, aligned_giou, aligned_iou
from facezoo.models.losses.class_losses import Loss
from facezoo.registry import LOSSES

_LAST_BIN_MARGIN = 0.01
"""Bins that a target stays away from the last one, so that there is always a bin beyond it."""


class RegressionLoss(Loss):
    """A loss of a prediction against a target of the same shape.

    Attributes:
        space: what it compares: decoded ``boxes`` (xyxy in pixels) or ``encoded`` numbers.
    """

    space: ClassVar[Literal["boxes", "encoded"]]

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Returns the loss per prior.

        Args:
            prediction: B x N x D; D = 4 for boxes.
            target: B x N x D; what stands where nothing is selected does not matter, NaN included.
            mask: bool or a factor, zero where nothing is selected: B x N for boxes, B x N x D for
                encoded numbers.

        Returns:
            B x N, float32.
        """
        raise NotImplementedError


class EncodedLoss(RegressionLoss):
    """A loss of encoded numbers, each by its own error; summed over D."""

    space = "encoded"

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of each number, float32, of the shape of both."""
        raise NotImplementedError

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``RegressionLoss.forward``."""
        prediction = prediction.float()
        target = torch.where(mask != 0, target.float(), prediction.detach())
        return (self.error(prediction, target) * mask).sum(dim=-1) * self.weight


@LOSSES.register
class SmoothL1(EncodedLoss):
    """Squared near zero, absolute beyond, summed over D (Girshick 2015, equation 3).

    Args:
        beta: where the square ends, in encoded units; 0 makes it the absolute error.
    """

    def __init__(self, beta: float = 1.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if beta < 0:
            raise ConfigError(f"beta of SmoothL1 is {beta}: it cannot be below 0.")
        self.beta = beta

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``EncodedLoss.error``."""
        return F.smooth_l1_loss(prediction, target, reduction="none", beta=self.beta)


@LOSSES.register
class Wing(EncodedLoss):
    """Logarithmic for small errors, absolute for large ones, summed over D.

    Feng et al. 2018, equation 5; small errors, of which landmarks have many, weigh more than under
    smooth L1. The paper's numbers are for errors in pixels of a face crop.

    Args:
        width: error at which the logarithm ends (w of the paper), in encoded units.
        curvature: scale of the logarithm (epsilon of the paper), in encoded units.
    """

    def __init__(self, width: float = 10.0, curvature: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if width <= 0 or curvature <= 0:
            raise ConfigError(
                f"width of Wing is {width} and curvature {curvature}: each has to be more than 0."
            )
        self.width = width
        self.curvature = curvature

    def error(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See ``EncodedLoss.error``."""
        error = (prediction - target).abs()
        # Joins the two branches at ``width``.
        gap = self.width - self.width * math.log1p(self.width / self.curvature)
        small = self.width * torch.log1p(error / self.curvature)
        return torch.where(error < self.width, small, error - gap)


class OverlapLoss(RegressionLoss):
    """One minus a measure of overlap that is 1 for equal boxes.

    Attributes:
        overlap: the measure of boxes ``... x 4``, xyxy in pixels, row by row.
    """

    space = "boxes"
    overlap: ClassVar[staticmethod[[Tensor, Tensor], Tensor]]

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

    overlap = staticmethod(aligned_iou)


@LOSSES.register("GIoU")
class GIoULoss(OverlapLoss):
    """1 - GIoU (Rezatofighi et al. 2019, algorithm 1)."""

    overlap = staticmethod(aligned_giou)


@LOSSES.register("DIoU")
class DIoULoss(OverlapLoss):
    """1 - DIoU (Zheng et al. 2020, equation 7)."""

    overlap = staticmethod(aligned_diou)


@LOSSES.register("CIoU")
class CIoULoss(OverlapLoss):
    """1 - CIoU (Zheng et al. 2020, equation 10)."""

    overlap = staticmethod(aligned_ciou)


@LOSSES.register
class DistributionFocal(Loss):
    """Cross-entropy of the two bins around the target, by nearness; the mean over four sides.

    Li et al. 2020 (generalized focal loss), equation 6. Targets are in bins, 0 to R - 1 for R bins;
    one beyond is taken as 0 or R - 1.01, as a face farther away than the last bin is out of reach.
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
        target = torch.where(selected, target.float(), 0.0).clamp(0, bins - 1 - _LAST_BIN_MARGIN)
        before = target.floor()
        share = (target - before).unsqueeze(-1)  # of the bin after the target
        index = before.long().unsqueeze(-1)
        log = logits.log_softmax(dim=-1)
        near = log.gather(-1, index) * (1 - share) + log.gather(-1, index + 1) * share
        return -near.squeeze(-1).mean(dim=-1) * mask * self.weight
