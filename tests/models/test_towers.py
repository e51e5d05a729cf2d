"""Towers: the numbers that they give have to be those that a head takes."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.geometry.priors import (
    AnchorGrid,
    BoxCodec,
    DistributionBoxCodec,
    LandmarkCodec,
    SSDBoxCodec,
)
from facezoo.models.assigners import MaxIoU
from facezoo.models.heads.head import Head, HeadLosses
from facezoo.models.heads.towers import (
    Towers,
    apply_towers,
    build_towers,
    pointwise,
    set_prior_probability,
)
from facezoo.models.losses import BCE, CIoULoss, SmoothL1
from facezoo.structures import Targets

CHANNELS, STRIDES = [6, 8], [8, 16]
GRID = AnchorGrid({8: [8, 16, 24], 16: [40, 56]}, STRIDES)


def features(size: int = 64) -> list[torch.Tensor]:
    return [torch.zeros(2, c, size // s, size // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]


def towers(
    outputs: int, make: Callable[[int, int], nn.Module] = pointwise, levels: int = 2
) -> nn.ModuleList:
    return build_towers(make, CHANNELS[:levels], GRID.anchors_per_cell[:levels], outputs)


def head(
    classes: nn.ModuleList | None = None,
    boxes: nn.ModuleList | None = None,
    landmarks: nn.ModuleList | None = None,
    quality: nn.ModuleList | None = None,
    codec: BoxCodec | None = None,
) -> Head:
    codec = codec or SSDBoxCodec()
    return Head(
        GRID,
        MaxIoU(),
        HeadLosses(BCE(), CIoULoss(), SmoothL1(), BCE()),
        codec,
        LandmarkCodec(),
        Towers(
            classes or towers(1),
            boxes or towers(codec.outputs),
            landmarks or towers(10),
            quality or towers(1),
        ),
    )


def sentence_of(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as error:
        call()
    assert len(error.value.problems) == 1 and "\n" not in str(error.value)
    return str(error.value)


def plain(channels: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs, 1, bias=False)


def unpadded(channels: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs, 3)


def one_more(channels: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs + 1, 1)


WRONG = {
    "boxes": (
        {"boxes": towers(5)},
        "The box tower of level 0 gives 15 x 8 x 8 (channels, rows, columns): make it 12 x 8 x 8, "
        "which is 4 for each anchor of a cell.",
    ),
    "boxes that a reshape takes": ({"boxes": towers(8)}, "gives 24 x 8 x 8 (channels, rows, col"),
    "distributions": (
        {"codec": DistributionBoxCodec(4), "boxes": towers(4)},
        "The box tower of level 0 gives 12 x 8 x 8 (channels, rows, columns): make it 48 x 8 x 8",
    ),
    "quality": (
        {"quality": towers(2)},
        "The quality tower of level 0 gives 6 x 8 x 8 (channels, rows, columns): make it 3 x 8 x 8",
    ),
    "classes": (
        {"classes": towers(1, one_more)},
        "The class tower of level 0 gives 4 x 8 x 8 (channels, rows, columns): make it 3 x 8 x 8",
    ),
    "fewer cells": (
        {"landmarks": towers(10, unpadded)},
        "The landmark tower of level 0 gives 30 x 6 x 6 (channels, rows, columns): make it 30 x 8",
    ),
    "coarser level": (
        {"classes": nn.ModuleList([pointwise(6, 6), pointwise(8, 2)])},
        "The class tower of level 1 gives 2 x 4 x 4 (channels, rows, columns): make it 4 x 4 x 4",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), WRONG.values(), ids=WRONG)
def test_numbers_that_do_not_fit_are_named(changes: dict, sentence: str) -> None:
    assert sentence in sentence_of(lambda: head(**changes)(features()))


@pytest.mark.parametrize("outputs", [4, 8, 11])
def test_landmarks_are_those_of_the_targets(
    outputs: int, targets_of: Callable[..., Targets]
) -> None:
    wrong = head(landmarks=towers(outputs))
    raw = wrong(features())
    said = sentence_of(lambda: wrong.loss(raw, targets_of(2, 4, 64)))
    assert said == (
        f"The landmark towers give {outputs} numbers for each prior, and the targets have 5 "
        "landmarks: make it 10, x and y of each."
    )


def test_a_head_of_other_landmarks_takes_its_own_targets(
    targets_of: Callable[..., Targets],
) -> None:
    targets = targets_of(2, 4, 64)
    three = Targets(
        *(getattr(targets, name) for name in ("boxes", "valid", "ignore", "labels")),
        landmarks=targets.landmarks[:, :, :3],
        landmarks_valid=targets.landmarks_valid[:, :, :3],
    )
    own = head(landmarks=towers(6))
    assert own.loss(own(features()), three)["landmark"].total.isfinite()


def test_there_is_a_tower_for_each_level() -> None:
    assert sentence_of(lambda: head(quality=towers(1, levels=1))) == (
        "1 towers are given for quality, and the grid has 2 levels: give a tower for each level, "
        "as build_towers does."
    )


def test_rows_are_ordered_by_level_row_column_and_anchor() -> None:
    torch.manual_seed(0)
    given = [torch.randn_like(feature) for feature in features()]
    boxes = towers(4)
    said = apply_towers(boxes, given, GRID.anchors_per_cell, "box", 4)
    n = 0
    for tower, feature, anchors in zip(boxes, given, GRID.anchors_per_cell, strict=True):
        numbers = tower(feature)
        for row in range(feature.shape[2]):
            for column in range(feature.shape[3]):
                for anchor in range(anchors):
                    own = numbers[:, anchor * 4 : anchor * 4 + 4, row, column]
                    assert torch.equal(said[:, n], own)
                    n += 1
    assert n == said.shape[1]


@pytest.mark.parametrize("last", [plain, lambda channels, outputs: nn.Identity()])
def test_a_start_needs_a_bias(last: Callable[[int, int], nn.Module]) -> None:
    made = nn.ModuleList([pointwise(6, 3), last(8, 2)])
    said = sentence_of(lambda: set_prior_probability(made, 0.01))
    assert "the tower of level 1 has none: end it with a Conv2d with bias" in said


@pytest.mark.parametrize("kind", ["landmark", "quality"])
def test_towers_and_their_loss_go_together(kind: str) -> None:
    def build(losses: HeadLosses, made: Towers) -> Head:
        return Head(GRID, MaxIoU(), losses, SSDBoxCodec(), LandmarkCodec(), made)

    plain_losses, plain_towers = HeadLosses(BCE(), CIoULoss()), Towers(towers(1), towers(4))
    build(plain_losses, plain_towers)
    if kind == "landmark":
        losses = HeadLosses(BCE(), CIoULoss(), SmoothL1())
        made = Towers(towers(1), towers(4), towers(10))
    else:
        losses = HeadLosses(BCE(), CIoULoss(), quality=BCE())
        made = Towers(towers(1), towers(4), quality=towers(1))
    build(losses, made)
    assert f"a {kind}_loss and no {kind} towers" in sentence_of(lambda: build(losses, plain_towers))
    assert f"{kind} towers and no {kind}_loss" in sentence_of(lambda: build(plain_losses, made))
