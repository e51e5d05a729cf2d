"""What a rule of one's own returns is checked where it returns it."""

from collections.abc import Callable

import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.models.assigners.assigner import Assigner, Assignment
from facezoo.structures import Grid, Targets

BATCH, PRIORS = 2, 64 * 2 + 16 * 2 + 4


class Says(Assigner):
    def __init__(self, returned: object) -> None:
        super().__init__()
        self.returned = returned

    def assign(self, grid: Grid, targets: Targets, decoded: object) -> Assignment:
        return self.returned  # type: ignore[return-value]  # what this file is about


def index(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.full(shape or (BATCH, PRIORS), -1, dtype=dtype)


RIGHT = f"{BATCH} x {PRIORS} (images x priors)"
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "tensor": (
        lambda: index(),
        f"Says.assign returns Tensor: return an Assignment with an index of {RIGHT}, int64.",
    ),
    "nothing": (
        lambda: None,
        "Says.assign returns NoneType: return an Assignment with an index of",
    ),
    "pair": (lambda: (index(), None), "Says.assign returns tuple: return an Assignment"),
    "float": (
        lambda: Assignment(index(dtype=torch.float32)),
        f"Assignment with an index of torch.float32: make it int64, of {RIGHT}.",
    ),
    "bool": (lambda: Assignment(index(dtype=torch.bool)), "an index of torch.bool: make it int64"),
    "short": (
        lambda: Assignment(index(BATCH, PRIORS - 1)),
        f"Says.assign returns an Assignment with index of {BATCH} x {PRIORS - 1}: make it {RIGHT}.",
    ),
    "one image": (lambda: Assignment(index(1, PRIORS)), f"with index of 1 x {PRIORS}: make it"),
    "flat": (lambda: Assignment(index(BATCH * PRIORS)), f"with index of {BATCH * PRIORS}: make it"),
    "quality": (
        lambda: Assignment(index(), torch.zeros(BATCH, PRIORS, 1)),
        f"with quality of {BATCH} x {PRIORS} x 1: make it {RIGHT}.",
    ),
    "box weight": (
        lambda: Assignment(index(), None, torch.zeros(PRIORS)),
        f"with box_weight of {PRIORS}: make it {RIGHT}.",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(make: Callable[[], object], sentence: str, scenes) -> None:
    with pytest.raises(ConfigError) as error:
        Says(make())(scenes.grid(64, 64), scenes.targets(torch.zeros(BATCH, 3, 4)))
    assert sentence in str(error.value)
    assert len(error.value.problems) == 1 and "\n" not in str(error.value)


def test_what_fits_is_taken(scenes) -> None:
    grid = scenes.grid(64, 64)
    assert len(grid.priors) == PRIORS
    given = Assignment(index(), torch.zeros(BATCH, PRIORS), torch.zeros(BATCH, PRIORS))
    nothing = torch.zeros(BATCH, 3, dtype=torch.bool)
    targets = scenes.targets(torch.zeros(BATCH, 3, 4), valid=nothing)
    assignment = Says(given)(grid, targets)
    assert torch.equal(assignment.index, given.index)
    assert assignment.quality is given.quality and assignment.box_weight is given.box_weight
