from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.geometry.priors import AnchorGrid
from facezoo.models.assigners import Assigner, MaxIoU
from facezoo.structures import Grid, Targets


def max_iou_by_loop(exact, grid: Grid, targets: Targets, image: int, rule: MaxIoU) -> list[int]:
    priors = [exact.corners(exact.numbers(row)) for row in grid.priors]
    taught = exact.faces(targets, image, ignored=False)
    positive, negative = Fraction(str(rule.positive_iou)), Fraction(str(rule.negative_iou))
    index = []
    for prior in priors:
        best, best_face = Fraction(0), -1
        for g, box in taught.items():
            if exact.iou(box, prior) > best:
                best, best_face = exact.iou(box, prior), g
        index.append(best_face if best >= positive else (-2 if best >= negative else -1))
    claims: dict[int, tuple[Fraction, int]] = {}
    for g, box in taught.items():
        overlaps = [exact.iou(box, prior) for prior in priors]
        best = max(overlaps)
        prior = overlaps.index(best)
        if best > 0 and best >= Fraction(str(rule.best_anchor_iou)):
            claims[prior] = max(claims.get(prior, (Fraction(-1), 0)), (best, -g))
    for prior, (_, face) in claims.items():
        index[prior] = -face
    return exact.hide(index, grid, targets, image)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    thresholds=st.sampled_from([(0.5, 0.3, 0.2), (0.35, 0.35, 0.2), (0.6, 0.4, 0.5)]),
    size=st.sampled_from([(64, 64), (40, 96)]),
)
def test_max_iou_equals_a_loop(scenes, exact, seed, thresholds, size) -> None:
    grid, rule = scenes.grid(*size), MaxIoU(*thresholds)
    targets = scenes.random_targets(seed, batch=2, faces=6, size=64, whole=True)
    index = rule(grid, targets).index
    expected = [max_iou_by_loop(exact, grid, targets, image, rule) for image in range(2)]
    assert index.tolist() == expected


def test_priors_that_are_no_lattice_are_measured_one_by_one(scenes) -> None:
    lattice = scenes.grid(96, 96)
    targets = scenes.random_targets(5, batch=2, faces=16, size=96, whole=True)
    plain = Grid(lattice.priors, lattice.strides, lattice.level_sizes)
    expected = MaxIoU()(lattice, targets).index
    assert torch.equal(MaxIoU()(plain, targets).index, expected)


def test_face_below_the_best_anchor_iou_gets_nothing(scenes) -> None:
    grid = scenes.grid(64, 64)
    boxes = torch.tensor([[[25.0, 25, 28, 28]]])  # 9 of the 64 square pixels of one anchor
    assert (MaxIoU(best_anchor_iou=0.2)(grid, scenes.targets(boxes)).index == -1).all()
    assert (MaxIoU(best_anchor_iou=0.1)(grid, scenes.targets(boxes)).index == 0).sum() == 1


def test_an_ignored_face_smaller_than_every_prior_is_not_taught_as_background(scenes) -> None:
    """A face of 5 px covers a tenth of the smallest prior, which would find it."""
    grid = AnchorGrid({8: [16, 32]}, [8])([(8, 8)], "cpu")
    boxes = torch.tensor([[[26.0, 26, 31, 31]]])  # its middle: 28.5, 28.5
    targets = scenes.targets(boxes, ignore=torch.ones(1, 1, dtype=torch.bool))
    index = MaxIoU()(grid, targets).index[0]
    hidden = {tuple(prior.tolist()) for prior in grid.priors[index == -2]}
    assert hidden == {(x, y, 16, 16) for x in (28, 36) for y in (28, 36)}
    assert (index != 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaxIoU(positive_iou=0.3, negative_iou=0.5), "negative_iou of MaxIoU is 0.5"),
        (lambda: MaxIoU(positive_iou=1.5), "positive_iou 1.5"),
        (lambda: MaxIoU(negative_iou=0.0), "negative_iou of MaxIoU is 0.0"),
    ],
)
def test_wrong_numbers_are_told(make: Callable[[], Assigner], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
