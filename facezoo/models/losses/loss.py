"""The base class of all losses, and the labels of priors without a face.

Vocabulary: B images, N priors, C classes, D encoded numbers of a prior. A *logit* is a class's
score before the sigmoid. A *label* is a class index, ``BACKGROUND`` or ``IGNORE``. A loss knows
nothing of anchors: it gives one number per prior, zero where it selects nothing, times its
weight; the head sums and normalises. All arithmetic is float32, autocast or not.
"""

from __future__ import annotations

from torch import nn

from facezoo.errors import ConfigError

BACKGROUND = -1
"""Label of a prior that has no face."""

IGNORE = -2
"""Label of a prior that is left out of the loss."""


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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
