import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.assigners import ATSS
from facezoo.structures import Grid, Targets


def atss_by_loop(exact, grid: Grid, targets: Targets, image: int, rule: ATSS) -> list[int]:
    priors = [exact.numbers(row) for row in grid.priors]
    owner: dict[int, tuple[float, int]] = {}
    for g, box in exact.faces(targets, image, ignored=False).items():
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        candidates, first = [], 0
        for size, (_, _, anchors) in zip(grid.level_sizes, grid.level_shapes, strict=True):
            cells = range(first, first + size, anchors)
            near = sorted(
                cells,
                key=lambda p: (
                    (priors[p][0] - centre[0]) ** 2 + (priors[p][1] - centre[1]) ** 2,
                    p,
                ),
            )
            candidates += [p + a for p in near[: rule.top_k] for a in range(anchors)]
            first += size
        overlaps = [float(exact.iou(box, exact.corners(priors[p]))) for p in candidates]
        mean = sum(overlaps) / len(overlaps)
        spread = sum((value - mean) ** 2 for value in overlaps) / max(len(overlaps) - 1, 1)
        for p, value in zip(candidates, overlaps, strict=True):
            inside = box[0] < priors[p][0] < box[2] and box[1] < priors[p][1] < box[3]
            if inside and value >= mean + spread**0.5 - 1e-6:
                owner[p] = max(owner.get(p, (-1.0, 0)), (value, -g))
    index = [-owner[p][1] if p in owner else -1 for p in range(len(priors))]
    return exact.hide(index, grid, targets, image)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    top_k=st.sampled_from([1, 4, 9, 13]),
    size=st.sampled_from([(64, 64), (40, 96), (8, 200)]),
)
def test_atss_equals_a_loop(scenes, exact, seed, top_k, size) -> None:
    grid, rule = scenes.grid(*size), ATSS(top_k=top_k)
    targets = scenes.random_targets(seed, batch=2, faces=6, size=64, whole=True)
    index = rule(grid, targets).index
    expected = [atss_by_loop(exact, grid, targets, image, rule) for image in range(2)]
    assert index.tolist() == expected


def test_priors_that_are_no_lattice_are_refused(scenes) -> None:
    lattice = scenes.grid(96, 96)
    plain = Grid(lattice.priors, lattice.strides, lattice.level_sizes)
    with pytest.raises(ValueError, match="level_shapes"):
        ATSS()(plain, scenes.targets(torch.zeros(1, 1, 4)))


def test_a_wrong_number_is_told() -> None:
    with pytest.raises(ConfigError, match="top_k of ATSS is 0"):
        ATSS(top_k=0)
