import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.assigners import RatioRule
from facezoo.structures import Grid, Targets

ANCHORS = {8: [[4, 5], [8, 10], [13, 16]], 16: [[23, 29], 43], 32: [[73, 105]]}  # YOLO5Face's kind


def ratio_by_loop(exact, grid: Grid, targets: Targets, image: int, rule: RatioRule) -> list[int]:
    owner: dict[int, tuple[Fraction, int]] = {}
    for g, box in exact.faces(targets, image, ignored=False).items():
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        first = 0
        for rows, columns, anchors in grid.level_shapes:
            stride = Fraction(grid.strides[first].item())
            u, v = x / stride, y / stride
            column, row = math.floor(u), math.floor(v)
            cells = {(row, column)}
            if rule.neighbours and u % 1 != Fraction(1, 2):
                cells.add((row, column - 1 if u % 1 < Fraction(1, 2) else column + 1))
            if rule.neighbours and v % 1 != Fraction(1, 2):
                cells.add((row - 1 if v % 1 < Fraction(1, 2) else row + 1, column))
            if not (0 <= row < rows and 0 <= column < columns):
                cells = set()
            for i, j in cells:
                if not (0 <= i < rows and 0 <= j < columns):
                    continue
                cell = first + (i * columns + j) * anchors
                for p in range(cell, cell + anchors):
                    width, height = exact.numbers(grid.priors[p])[2:]
                    w, h = box[2] - box[0], box[3] - box[1]
                    if not w or not h:
                        continue
                    ratio = max(w / width, width / w, h / height, height / h)
                    if ratio < Fraction(str(rule.max_ratio)):
                        best = owner.get(p, (ratio, g))
                        owner[p] = min(best, (ratio, g))
            first += rows * columns * anchors
    index = [owner[p][1] if p in owner else -1 for p in range(len(grid.priors))]
    return exact.hide(index, grid, targets, image)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    max_ratio=st.sampled_from([1.5, 2.0, 4.0]),
    neighbours=st.booleans(),
    size=st.sampled_from([(64, 64), (40, 96)]),
)
def test_ratio_rule_equals_a_loop(scenes, exact, seed, max_ratio, neighbours, size) -> None:
    grid, rule = scenes.grid(*size, ANCHORS), RatioRule(max_ratio, neighbours)
    targets = scenes.random_targets(seed, batch=2, faces=8, size=64, whole=True)
    index = rule(grid, targets).index
    expected = [ratio_by_loop(exact, grid, targets, image, rule) for image in range(2)]
    assert index.tolist() == expected


def claimed(scenes, box: list[float], rule: RatioRule) -> set[tuple[float, float]]:
    """The centres of the claimed priors of the finest level of an image of 64 pixels."""
    grid = scenes.grid(64, 64, scenes.POINTS)
    index = rule(grid, scenes.targets(torch.tensor([[box]]))).index[0]
    return {(x, y) for x, y, side, _ in grid.priors[index == 0].tolist() if side == 8}


def test_neighbours_are_those_on_the_sides_of_the_nearer_borders(scenes) -> None:
    rule = RatioRule()
    assert claimed(scenes, [15, 18, 21, 26], rule) == {(20, 20), (12, 20), (20, 28)}
    assert claimed(scenes, [16, 16, 24, 24], rule) == {(20, 20)}  # the very middle
    assert claimed(scenes, [15, 18, 21, 26], RatioRule(neighbours=False)) == {(20, 20)}


def test_there_is_no_neighbour_beyond_the_map(scenes) -> None:
    assert claimed(scenes, [-2, -2, 6, 6], RatioRule()) == {(4, 4)}
    assert claimed(scenes, [58, 58, 66, 66], RatioRule()) == {(60, 60)}
    assert claimed(scenes, [61, 24, 69, 32], RatioRule()) == set()  # its centre is outside


def test_a_face_without_area_claims_nothing(scenes) -> None:
    boxes = torch.tensor([[[20.0, 20, 20, 30], [20, 20, 20, 20]]])
    assert (RatioRule()(scenes.grid(64, 64), scenes.targets(boxes)).index == -1).all()


def test_priors_that_are_no_lattice_are_refused(scenes) -> None:
    lattice = scenes.grid(96, 96)
    plain = Grid(lattice.priors, lattice.strides, lattice.level_sizes)
    with pytest.raises(ValueError, match="level_shapes"):
        RatioRule()(plain, scenes.targets(torch.zeros(1, 1, 4)))


def test_a_wrong_number_is_told() -> None:
    with pytest.raises(ConfigError, match="max_ratio of RatioRule is 1"):
        RatioRule(max_ratio=1)
