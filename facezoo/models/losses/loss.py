"""What every loss is.

Vocabulary: B images, N priors, C classes, D encoded numbers of a prior. A *logit* is a class's
score before the sigmoid. A *label* is a class index, ``BACKGROUND`` or ``IGNORE``. A loss knows
nothing of anchors: it gives one number per prior, zero where it selects nothing, times its
weight; the head sums and says what to divide by. All arithmetic is float32, autocast or not.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError

BACKGROUND = -1
"""Label of a prior that has no face."""

IGNORE = -2
"""Label of a prior that teaches nothing."""


class Loss(nn.Module):
    """A weighted loss per prior.

    Args:
        weight: factor of the loss in the total.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ConfigError(f"weight of {type(self).__name__} is {weight}: it cannot be below 0.")
        self.weight = weight

    def extra_repr(self) -> str:
        """Returns the numbers that the loss was made with."""
        numbers = {name: value for name, value in vars(self).items() if _is_number(value)}
        numbers.pop("training", None)
        return ", ".join(f"{name}={value}" for name, value in numbers.items())


class ClassLoss(Loss):
    """A loss of logits against labels.

    Attributes:
        soft: whether it takes targets between 0 and 1 (``quality``).
    """

    soft: ClassVar[bool] = False

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
    ) -> Tensor:
        """Returns the loss per prior.

        Args:
            logits: B x N x C.
            labels: B x N, int64: the class index, ``BACKGROUND`` or ``IGNORE``.
            weights: B x N, a factor per prior, or None for 1.
            quality: B x N, target of a positive prior's own class in place of 1; only for losses
                that are ``soft``.

        Returns:
            B x N, float32.
        """
        raise NotImplementedError


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


def class_targets(labels: Tensor, classes: int, quality: Tensor | None) -> Tensor:
    """Returns the target of each class, B x N x C, float32; 0 for background and ignored priors.

    Args:
        labels: B x N, see ``ClassLoss.forward``.
        classes: their number C.
        quality: B x N, what stands in place of 1, or None; what it says where a prior is not
            positive does not matter, NaN included.
    """
    own = labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)
    return own.float() if quality is None else torch.where(own, quality.float().unsqueeze(-1), 0.0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
