from itertools import product

import pytest
import torch

from facezoo.models.assigners import ATSS, Assigner, MaxIoU, RatioRule, SimOTA, TaskAligned, overlap
from facezoo.models.assigners import best_priors as search
from facezoo.models.assigners.assigner import best_face_per_prior, gather_faces
from facezoo.structures import Grid

RULES = [
    MaxIoU(0.35, 0.35),
    MaxIoU(),
    ATSS(),
    RatioRule(),
    RatioRule(neighbours=False),
    SimOTA(),
    TaskAligned(),
    TaskAligned(min_size=16),
]
every_rule = pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: f"{type(rule).__name__}-{RULES.index(rule)}"
)


@every_rule
def test_images_without_faces_are_background(rule: Assigner, scenes) -> None:
    grid = scenes.grid(64, 96)
    nothing = torch.zeros(3, 8, dtype=torch.bool)
    assignment = scenes.assign(rule, grid, scenes.targets(torch.zeros(3, 8, 4), nothing))
    assert (assignment.index == -1).all()
    for values in (assignment.quality, assignment.box_weight):
        assert values is None or (values == 0).all()


@every_rule
def test_order_and_padding_of_faces_change_nothing(rule: Assigner, scenes) -> None:
    grid = scenes.grid(128, 128)
    targets = scenes.random_targets(7, batch=3, faces=16, size=128, whole=False)
    before = scenes.assign(rule, grid, targets)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    place = order.argsort()  # where each face went
    padding = 16
    mixed = scenes.targets(
        torch.cat([targets.boxes, torch.full((3, padding, 4), 9.0)], dim=1)[:, order],
        torch.cat([targets.valid, torch.zeros(3, padding, dtype=torch.bool)], dim=1)[:, order],
        torch.cat([targets.ignore, torch.ones(3, padding, dtype=torch.bool)], dim=1)[:, order],
    )
    after = scenes.assign(rule, grid, mixed)
    index = before.index
    assert torch.equal(after.index, torch.where(index >= 0, place[index.clamp(min=0)], index))
    for ours, theirs in zip(before[2:], after[2:], strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@every_rule
def test_equal_faces_go_to_the_lower_index(rule: Assigner, scenes) -> None:
    boxes = torch.tensor([[[20.0, 20, 60, 60]] * 8])
    index = scenes.assign(rule, scenes.grid(96, 96), scenes.targets(boxes)).index
    assert (index == 0).any()
    assert (index <= 0).all()


@every_rule
def test_a_crowd_gives_faces_what_a_face_alone_gets(rule: Assigner, scenes) -> None:
    # Equal faces far from one another, so that none disturbs its neighbour. Rules that look at
    # predictions compare all pairs, which takes longer.
    rows, columns = (8, 16) if rule.looks_at_predictions else (40, 50)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corner = torch.stack([column, row], dim=-1).view(1, -1, 2) * 64.0 + 14
    boxes = torch.cat([corner, corner + 30], dim=-1)
    grid = scenes.grid(rows * 64, columns * 64)
    decoded = _every_prior_finds_the_nearest(grid)
    middle = columns * (rows // 2) + columns // 2
    index = rule(grid, scenes.targets(boxes), decoded).index
    alone = rule(grid, scenes.targets(boxes[:, middle : middle + 1]), decoded).index
    counts = torch.bincount(index[index >= 0], minlength=rows * columns)
    # Cells of the coarsest level are as far apart as the faces, so all faces are alike.
    assert (counts[columns + 1 : -columns - 1] == (alone == 0).sum()).all()
    assert torch.equal(index == middle, alone == 0)


def _every_prior_finds_the_nearest(grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """The face of the crowd in whose square of 64 pixels a prior lies; fine levels are surer."""
    corner = (grid.priors[:, :2] / 64).floor() * 64 + 14
    return torch.cat([corner, corner + 30], dim=-1)[None], (4 / grid.strides)[None, :, None]


@every_rule
def test_chunks_of_faces_change_nothing(
    rule: Assigner, scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = scenes.grid(128, 96)
    targets = scenes.random_targets(3, batch=2, faces=64, size=96, whole=True)
    whole = scenes.assign(rule, grid, targets)
    for module, numbers in product((overlap, search), (2 * len(grid.priors) * 5, 1)):
        monkeypatch.setattr(module, "_CHUNK", numbers)
        for ours, theirs in zip(scenes.assign(rule, grid, targets), whole, strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@every_rule
def test_ignored_face_hides_background_but_takes_no_prior(rule: Assigner, scenes) -> None:
    boxes = torch.tensor([[[0.0, 0, 64, 64], [16, 16, 36, 36]]])
    targets = scenes.targets(boxes, ignore=torch.tensor([[True, False]]))
    for anchors in (scenes.ANCHORS, scenes.POINTS):
        assignment = scenes.assign(rule, scenes.grid(128, 128, anchors), targets)
        assert (assignment.index == -2).any()
        assert (assignment.index != 0).all()
    assignment = scenes.assign(rule, scenes.grid(128, 128), targets)
    assert (assignment.index == 1).any()


def test_ignored_faces_hide_the_points_that_would_find_them(scenes) -> None:
    """Those inside a large one on every level, and of a tiny one the finest that holds it."""
    grid = scenes.grid(256, 256, scenes.POINTS)
    boxes = torch.tensor([[[0.0, 0, 128, 128], [201, 203, 206, 208]]])
    targets = scenes.targets(boxes, ignore=torch.ones(1, 2, dtype=torch.bool))
    hidden = grid.priors[RatioRule()(grid, targets).index[0] == -2]
    tiny = hidden[hidden[:, 0] > 128]
    large = hidden[hidden[:, 0] < 128]
    assert tiny.tolist() == [[204, 204, 8, 8]]
    assert len(large) == 16**2 + 8**2 + 4**2
    assert (large[:, :2] < 128).all()


@every_rule
def test_autocast_and_gradients_do_not_reach_the_rule(rule: Assigner, scenes) -> None:
    grid = scenes.grid(128, 128)
    targets = scenes.random_targets(11, batch=2, faces=16, size=128, whole=False)
    expected = scenes.assign(rule, grid, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assignment = scenes.assign(rule, grid, targets)
    targets.boxes.requires_grad_()
    with_gradient = scenes.assign(rule, grid, targets)
    for ours, same, theirs in zip(assignment, with_gradient, expected, strict=True):
        if theirs is None:
            continue
        assert torch.equal(ours, theirs)
        assert not same.requires_grad
        assert same.dtype in (torch.int64, torch.float32)


@every_rule
def test_what_a_rule_says_of_itself_is_so(rule: Assigner, scenes) -> None:
    grid = scenes.grid(64, 64)
    targets = scenes.random_targets(2, batch=2, faces=8, size=64, whole=False)
    assignment = scenes.assign(rule, grid, targets)
    assert rule.gives_quality == (assignment.quality is not None)
    if rule.looks_at_predictions:
        with pytest.raises(ValueError, match=f"{type(rule).__name__} looks at predictions"):
            rule(grid, targets)
    for values in assignment[2:]:
        if values is not None:
            assert ((values >= 0) & (values <= 1)).all()
            assert (values[assignment.index < 0] == 0).all()


def test_take_faces_gathers_rows_of_any_shape() -> None:
    values = torch.arange(2 * 3 * 5 * 2).view(2, 3, 5, 2)
    index = torch.tensor([[2, -1, 0, -2], [1, 1, 2, 0]])
    taken = gather_faces(values, index)
    for b, n in product(range(2), range(4)):
        assert torch.equal(taken[b, n], values[b, max(int(index[b, n]), 0)])
    assert gather_faces(values[..., 0, 0], index).tolist() == [[20, 0, 0, 0], [40, 40, 50, 30]]


def test_best_face_per_prior_takes_the_best_measure_then_the_lower_face() -> None:
    prior = torch.tensor([[[0, 1], [1, 2], [2, 1]]])
    measure = torch.tensor([[[9.0, 1.0], [2.0, 5.0], [5.0, 2.0]]])
    claims = torch.tensor([[[False, True], [True, True], [True, True]]])
    assert best_face_per_prior(prior, measure, claims, 4).tolist() == [[-1, 1, 1, -1]]
