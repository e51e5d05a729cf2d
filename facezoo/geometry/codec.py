"""From boxes and landmarks to what a network regresses, relative to its priors, and back.

Shapes: B images, N priors, L landmarks. Priors are ``N x 4`` centre x, centre y, width, height in
pixels. All arithmetic is float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh

_SMALLEST_SIDE = 1e-3
"""Pixels; a box without area has a finite code, so that a masked row cannot make NaN."""

_LARGEST_LOG_RATIO = math.log(1000.0)
"""A decoded side is at most 1,000 times its prior's: an untrained network must not reach inf."""


class BoxCodec:
    """Centre offsets in sides of the prior, sizes as logarithms, over variances (SSD's code).

    Liu et al. 2016, section 2.2, equation 2; the variances are those of its implementation.

    Args:
        variances: divisors of the centre's offset and of the logarithm of the size.
    """

    def __init__(self, variances: tuple[float, float] = (0.1, 0.2)) -> None:
        if min(variances) <= 0:
            raise ConfigError(f"variances are {variances}: each has to be more than 0.")
        self.centre_variance, self.size_variance = variances

    def encode(self, priors: Tensor, boxes_xyxy: Tensor) -> Tensor:
        """Returns the codes ``... x N x 4`` of one box ``... x N x 4`` per prior."""
        prior_centre, prior_size = priors.float().split(2, dim=-1)
        centre, size = xyxy_to_cxcywh(boxes_xyxy.float()).split(2, dim=-1)
        offset = (centre - prior_centre) / (prior_size * self.centre_variance)
        log_ratio = torch.log(size.clamp(min=_SMALLEST_SIDE) / prior_size)
        return torch.cat([offset, log_ratio / self.size_variance], dim=-1)

    def decode(self, priors: Tensor, encoded: Tensor) -> Tensor:
        """Returns the boxes ``B x N x 4``, xyxy in pixels, of the codes ``B x N x 4``."""
        prior_centre, prior_size = priors.float().split(2, dim=-1)
        offset, log_ratio = encoded.float().split(2, dim=-1)
        centre = prior_centre + offset * self.centre_variance * prior_size
        ratio = torch.exp((log_ratio * self.size_variance).clamp(max=_LARGEST_LOG_RATIO))
        return cxcywh_to_xyxy(torch.cat([centre, prior_size * ratio], dim=-1))


class LandmarkCodec:
    """Offsets of landmarks from the prior's centre, in sides of the prior, over a variance.

    Deng et al. 2020 (RetinaFace), section 3.1.

    Args:
        variance: divisor of the offset.
    """

    def __init__(self, variance: float = 0.1) -> None:
        if variance <= 0:
            raise ConfigError(f"variance is {variance}: it has to be more than 0.")
        self.variance = variance

    def encode(self, priors: Tensor, landmarks: Tensor) -> Tensor:
        """Returns the codes ``... x N x 2L`` of landmarks ``... x N x L x 2`` in pixels."""
        centre, size = priors.float().unsqueeze(-2).split(2, dim=-1)
        return ((landmarks.float() - centre) / (size * self.variance)).flatten(-2)

    def decode(self, priors: Tensor, encoded: Tensor) -> Tensor:
        """Returns the landmarks ``B x N x L x 2`` in pixels of the codes ``B x N x 2L``."""
        centre, size = priors.float().unsqueeze(-2).split(2, dim=-1)
        offsets = encoded.float().unflatten(-1, (-1, 2))
        return centre + offsets * self.variance * size
