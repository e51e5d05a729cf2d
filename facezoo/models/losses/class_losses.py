"""The base class of all losses, and those of class and objectness logits.

Vocabulary: B images, N priors, C classes, D encoded numbers of a prior. A *logit* is a class's
score before the sigmoid. A *label* is a class index, ``BACKGROUND`` or ``IGNORE``. A loss knows
nothing of anchors: it gives one number per prior, zero where it selects nothing, times its
weight; the head sums and normalises. All arithmetic is float32, autocast or not.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from facezoo.errors import ConfigError
from facezoo.registry import LOSSES

BACKGROUND = -1
"""Label of a prior that has no face."""

IGNORE = -2
"""Label of a prior that is left out of the loss."""

_SMALLEST_DISTANCE = 1e-12
"""Between a score and its target: far below what float32 tells apart."""


class Loss(nn.Module):
    """A weighted loss per prior.

    Args:
        weight: factor of the loss in the total, an argument of every loss.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ConfigError(f"weight of {type(self).__name__} is {weight}: it cannot be below 0.")
        self.weight = weight

    def extra_repr(self) -> str:
        """Returns the numbers that the loss was made with."""
        numbers = vars(self).items()
        return ", ".join(f"{name}={one}" for name, one in numbers if type(one) in (int, float))


class ClassLoss(Loss):
    """A loss of logits against labels; subclasses write ``per_prior``.

    Attributes:
        soft: whether it takes targets between 0 and 1 (``quality``).
    """

    soft: ClassVar[bool] = False

    def forward(self, logits: Tensor, labels: Tensor, quality: Tensor | None = None) -> Tensor:
        """Returns the loss per prior.

        Args:
            logits: B x N x C.
            labels: B x N, int64: the class index, ``BACKGROUND`` or ``IGNORE``.
            quality: B x N, target of a positive prior's own class in place of 1; only for losses
                that are ``soft``.

        Returns:
            B x N, float32.
        """
        loss = self.per_prior(logits.float(), labels, quality)
        return torch.where(labels != IGNORE, loss * self.weight, 0.0)

    def per_prior(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """Returns B x N without the weight; values of ignored priors do not matter."""
        raise NotImplementedError


def class_targets(labels: Tensor, classes: int, quality: Tensor | None) -> Tensor:
    """Returns the target of each class, B x N x C, float32; 0 for background and ignored priors.

    Args:
        labels: B x N, see ``ClassLoss.forward``.
        classes: their number C.
        quality: B x N, what stands in place of 1, or None; its value where a prior is not
            positive does not matter, NaN included.
    """
    own = labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)
    return own.float() if quality is None else torch.where(own, quality.float().unsqueeze(-1), 0.0)


@LOSSES.register
class BCE(ClassLoss):
    """Binary cross-entropy of the sigmoid, summed over classes.

    The class and objectness loss of the YOLO family since YOLOv3 (Redmon and Farhadi 2018, section
    2.2); with a quality as target it is the class loss of YOLOX (Ge et al. 2021)
    and YOLOv8.
    """

    soft = True

    def per_prior(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """See ``ClassLoss.per_prior``."""
        targets = class_targets(labels, logits.shape[-1], quality)
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return loss.sum(dim=-1)


@LOSSES.register("Focal")
class FocalLoss(ClassLoss):
    """Focal loss of the sigmoid, summed over classes (Lin et al. 2017, equation 5).

    Args:
        alpha: weight of a face against background, 0 to 1.
        gamma: exponent that takes weight from priors already right.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha of Focal is {alpha}: it has to be from 0 to 1.")
        if gamma < 0:
            raise ConfigError(f"gamma of Focal is {gamma}: it cannot be below 0.")
        self.alpha = alpha
        self.gamma = gamma

    def per_prior(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """See ``ClassLoss.per_prior``.

        Raises:
            ValueError: there is a quality.
        """
        if quality is not None:
            raise ValueError(
                "Focal takes no targets between 0 and 1: use QualityFocal with an assigner that "
                "gives a quality"
            )
        targets = class_targets(labels, logits.shape[-1], None)
        return sigmoid_focal_loss(logits, targets, self.alpha, self.gamma).sum(dim=-1)


@LOSSES.register
class OHEM(ClassLoss):
    """Binary cross-entropy of positives and, per image, of the negatives with the largest loss.

    The hard negative mining of SSD (Liu et al. 2016, section 2.2) as RetinaFace uses it (Deng et
    al. 2020, section 4.1), on one logit: a two-class softmax is the sigmoid of the difference of
    its logits. Negatives of equal loss are taken by lower index. A quality changes the targets of
    positives, not which priors count.

    Args:
        negative_ratio: negatives per positive of the same image.
        min_negatives: negatives taken at least, so that an image without faces counts too.
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

    def per_prior(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """See ``ClassLoss.per_prior``.

        Raises:
            ValueError: there is more than one class.
        """
        if logits.shape[-1] != 1:
            raise ValueError(f"OHEM takes one logit per prior, got logits of {tuple(logits.shape)}")
        logit = logits.squeeze(-1)
        positive = labels >= 0
        targets = class_targets(labels, 1, quality).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logit, targets, reduction="none")
        selected = positive | self._hard_negatives(logit.detach(), labels, positive)
        return torch.where(selected, loss, 0.0)

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


@LOSSES.register
class QualityFocal(ClassLoss):
    """Cross-entropy times how far the score is from its target, to a power.

    Li et al. 2020 (generalized focal loss), equation 2, summed over classes: |y - p|^beta times
    the binary cross-entropy of the score p against the target y, which is 0 for background.

    Args:
        beta: exponent that takes weight from priors already right.
    """

    soft = True

    def __init__(self, beta: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if beta < 0:
            raise ConfigError(f"beta of QualityFocal is {beta}: it cannot be below 0.")
        self.beta = beta

    def per_prior(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """See ``ClassLoss.per_prior``."""
        targets = class_targets(labels, logits.shape[-1], quality)
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        # A score that equals its target has no slope for an exponent below 1, so it is kept apart.
        distance = (targets - logits.sigmoid()).abs().clamp(min=_SMALLEST_DISTANCE)
        return (loss * distance**self.beta).sum(dim=-1)
