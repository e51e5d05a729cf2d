"""Towers: what makes the numbers of every prior of a level out of its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError


@dataclass(frozen=True)
class Towers:
    """The towers of a head, each with one module per level.

    Attributes:
        classes: the logits of the classes.
        boxes: the encoded boxes.
        landmarks: the encoded landmarks, or None for a head without.
        quality: one logit (objectness), or None for a head without.
    """

    classes: nn.ModuleList
    boxes: nn.ModuleList
    landmarks: nn.ModuleList | None = None
    quality: nn.ModuleList | None = None


def pointwise(channels: int, outputs: int) -> nn.Conv2d:
    """Returns the last layer of a tower: a 1 x 1 convolution with a bias."""
    return nn.Conv2d(channels, outputs, kernel_size=1)


def levels_of(
    make: Callable[[int, int], nn.Module],
    in_channels: Sequence[int],
    anchors_per_cell: Sequence[int],
    outputs: int,
) -> nn.ModuleList:
    """Returns a module per level, whose outputs are ordered by anchor first.

    Args:
        make: from the channels of a level's features and the number of its outputs to a module.
        in_channels: channels of the features.
        anchors_per_cell: anchors per level.
        outputs: numbers per prior.
    """
    return nn.ModuleList(
        make(channels, anchors * outputs)
        for channels, anchors in zip(in_channels, anchors_per_cell, strict=True)
    )


def per_prior(towers: nn.ModuleList, features: list[Tensor], anchors: Sequence[int]) -> Tensor:
    """Returns B x N x outputs, the priors in the order of the grid."""
    levels = []
    for tower, feature, count in zip(towers, features, anchors, strict=True):
        said = tower(feature)
        outputs = said.shape[1] // count
        said = said.permute(0, 2, 3, 1)
        levels.append(said.reshape(said.shape[0], -1, outputs))
    return torch.cat(levels, dim=1)


def start_with_score(towers: nn.ModuleList, probability: float) -> None:
    """Sets the biases so that every prior has this score before training (Lin et al. 2017, 4.1).

    Raises:
        ConfigError: the probability is not between 0 and 1.
    """
    if not 0 < probability < 1:
        raise ConfigError(f"prior_probability is {probability}: give 0 to 1, exclusive.")
    bias = math.log(probability / (1 - probability))
    for tower in towers:
        last = [module for module in tower.modules() if isinstance(module, nn.Conv2d)][-1]
        assert last.bias is not None
        nn.init.constant_(last.bias, bias)


def check_counts(num_classes: int, num_landmarks: int) -> None:
    """Checks the numbers that a head says per prior.

    Raises:
        ConfigError: one of them is below 1.
    """
    if num_classes < 1 or num_landmarks < 1:
        raise ConfigError(
            f"num_classes is {num_classes} and num_landmarks {num_landmarks}: give at least 1."
        )
