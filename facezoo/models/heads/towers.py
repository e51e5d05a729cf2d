"""Towers: the layers that predict the numbers of every prior from the features of its level."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

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


def build_towers(
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


def apply_towers(
    towers: nn.ModuleList,
    features: list[Tensor],
    anchors: Sequence[int],
    kind: str,
    outputs: int | None = None,
) -> Tensor:
    """Returns B x N x outputs, the priors in the order of the grid.

    Args:
        towers: one for each feature.
        features: fine to coarse.
        anchors: anchors per cell of each level.
        kind: what the towers predict, for the error: ``class``, ``box``, ``landmark``, ``quality``.
        outputs: numbers per prior; None for as many as the tower of the first level gives.

    Raises:
        ConfigError: a tower gives other than ``outputs`` numbers for each prior; not checked while
            torch compiles.
    """
    maps = [tower(feature) for tower, feature in zip(towers, features, strict=True)]
    if outputs is None:
        outputs = max(maps[0].shape[1] // anchors[0], 1)
    if not torch.compiler.is_compiling():
        for level, (one, feature, count) in enumerate(zip(maps, features, anchors, strict=True)):
            wanted = (count * outputs, *feature.shape[-2:])
            _check_shape(f"{kind} tower of level {level}", one.shape[1:], wanted, outputs)
    levels = [one.permute(0, 2, 3, 1).reshape(one.shape[0], -1, outputs) for one in maps]
    return torch.cat(levels, dim=1)


def _check_shape(tower: str, given: Sequence[int], wanted: Sequence[int], outputs: int) -> None:
    """Refuses what a reshape would lay out as other priors, or a loss would meet later."""
    if tuple(given) != tuple(wanted):
        raise ConfigError(
            f"The {tower} gives {_shape(given)} (channels, rows, columns): make it "
            f"{_shape(wanted)}, which is {outputs} for each anchor of a cell."
        )


def _shape(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))


def set_prior_probability(towers: nn.ModuleList, probability: float) -> None:
    """Sets the biases so that every prior has this score before training (Lin et al. 2017, 4.1).

    Raises:
        ConfigError: the probability is not between 0 and 1, or the last convolution of a tower has
            no bias.
    """
    if not 0 < probability < 1:
        raise ConfigError(f"prior_probability is {probability}: give 0 to 1, exclusive.")
    bias = math.log(probability / (1 - probability))
    for level, tower in enumerate(towers):
        convolutions = [module for module in tower.modules() if isinstance(module, nn.Conv2d)]
        if not convolutions or convolutions[-1].bias is None:
            raise ConfigError(
                f"The score at the start is the bias of a tower's last convolution, and the tower "
                f"of level {level} has none: end it with a Conv2d with bias, such as pointwise."
            )
        nn.init.constant_(convolutions[-1].bias, bias)


def check_counts(num_classes: int, num_landmarks: int) -> None:
    """Refuses a head that predicts nothing of a kind."""
    if num_classes < 1 or num_landmarks < 1:
        raise ConfigError(
            f"num_classes is {num_classes} and num_landmarks {num_landmarks}: give at least 1."
        )


def check_levels(towers: Towers, levels: int) -> None:
    """Refuses other than one tower of each kind for each level."""
    for field in fields(towers):
        of_kind = getattr(towers, field.name)
        if of_kind is not None and len(of_kind) != levels:
            raise ConfigError(
                f"{len(of_kind)} towers are given for {field.name}, and the grid has {levels} "
                "levels: give a tower for each level, as build_towers does."
            )
