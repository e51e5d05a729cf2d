from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.assigners import Assigner, TaskAligned
from facezoo.structures import Grid, Targets


def task_aligned_by_loop(
    exact, grid: Grid, targets: Targets, decoded, image: int, rule: TaskAligned
) -> tuple[list[int], list[float]]:
    priors = [exact.numbers(row) for row in grid.priors]
    predicted = [exact.numbers(row) for row in decoded[0][image]]
    scores = decoded[1][image].double().tolist()
    owner: dict[int, tuple[Fraction, int]] = {}
    metrics: dict[tuple[int, int], float] = {}
    for g, box in exact.faces(targets, image, ignored=False).items():
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        half_width = max(box[2] - box[0], Fraction(rule.min_size)) / 2
        half_height = max(box[3] - box[1], Fraction(rule.min_size)) / 2
        ranking = []
        for p, (px, py, _, _) in enumerate(priors):
            if abs(px - x) < half_width and abs(py - y) < half_height:
                iou = exact.iou(box, predicted[p])
                score = scores[p][int(targets.labels[image, g])]
                metrics[p, g] = score**rule.alpha * float(iou) ** rule.beta
                ranking.append((-metrics[p, g], p, iou))
        for _, p, iou in sorted(ranking)[: rule.top_k]:
            owner[p] = max(owner.get(p, (iou, -g)), (iou, -g))
    index = [-owner[p][1] if p in owner else -1 for p in range(len(priors))]
    quality = [0.0] * len(priors)
    for p, g in enumerate(index):
        if g >= 0:
            own = [q for q, other in enumerate(index) if other == g]
            best_metric = max(metrics[q, g] for q in own)
            best_iou = float(max(owner[q][0] for q in own))
            quality[p] = metrics[p, g] / best_metric * best_iou if best_metric else 0.0
    return exact.hide(index, grid, targets, image), quality


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    exponents=st.sampled_from([(0.5, 6.0), (1.0, 2.0)]),
    top_k=st.sampled_from([1, 4, 10]),
    min_size=st.sampled_from([0.0, 16.0]),
    classes=st.integers(1, 3),
    size=st.sampled_from([(64, 64), (40, 96)]),
)
def test_task_aligned_equals_a_loop(
    scenes, exact, seed, exponents, top_k, min_size, classes, size
) -> None:
    grid = scenes.grid(*size, scenes.POINTS)
    rule = TaskAligned(top_k, *exponents, min_size)
    targets = scenes.random_targets(seed, 2, faces=6, size=64, whole=True, classes=classes)
    decoded = scenes.predictions(seed, grid, batch=2, whole=True, classes=classes)
    assignment = rule(grid, targets, decoded)
    expected = [
        task_aligned_by_loop(exact, grid, targets, decoded, image, rule) for image in range(2)
    ]
    assert assignment.index.tolist() == [index for index, _ in expected]
    quality = torch.tensor([quality for _, quality in expected])
    torch.testing.assert_close(assignment.quality, quality, rtol=1e-4, atol=1e-6)
    assert torch.equal(assignment.box_weight, assignment.quality)


def test_the_best_prior_of_a_face_has_its_largest_iou_as_quality(scenes) -> None:
    grid = scenes.grid(128, 128, scenes.POINTS)
    targets = scenes.random_targets(4, batch=3, faces=8, size=128, whole=False)
    boxes, scores = scenes.predictions(4, grid, batch=3, whole=False)
    assignment = TaskAligned()(grid, targets, (boxes, scores))
    for b in range(3):
        for g in assignment.index[b].unique().tolist():
            if g >= 0:
                own = assignment.index[b] == g
                x1, y1, x2, y2 = boxes[b, own].unbind(dim=-1)
                fx1, fy1, fx2, fy2 = targets.boxes[b, g]
                width = (x2.minimum(fx2) - x1.maximum(fx1)).clamp(min=0)
                common = width * (y2.minimum(fy2) - y1.maximum(fy1)).clamp(min=0)
                area = (x2 - x1).clamp(min=0) * (y2 - y1).clamp(min=0)
                iou = common / (area + (fx2 - fx1) * (fy2 - fy1) - common)
                torch.testing.assert_close(assignment.quality[b, own].max(), iou.max())


def test_a_face_that_holds_no_centre_gets_priors_by_its_least_size(scenes) -> None:
    grid = scenes.grid(64, 64, scenes.POINTS)
    box = torch.tensor([[[29.0, 29, 34, 34]]])  # between the centres 28 and 36
    boxes = box.expand(1, len(grid.priors), 4)
    decoded = boxes, torch.full((1, len(grid.priors), 1), 0.5)
    targets = scenes.targets(box)
    assert (TaskAligned()(grid, targets, decoded).index == -1).all()
    index = TaskAligned(min_size=16)(grid, targets, decoded).index[0]
    found = {tuple(prior[:2].tolist()) for prior in grid.priors[index == 0]}
    assert found == {(28, 28), (36, 28), (28, 36), (36, 36), (24, 24)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TaskAligned(top_k=0), "top_k of TaskAligned is 0"),
        (lambda: TaskAligned(alpha=-1), "alpha of TaskAligned is -1"),
        (lambda: TaskAligned(beta=-2), "beta -2"),
        (lambda: TaskAligned(min_size=-3), "min_size of TaskAligned is -3"),
    ],
)
def test_wrong_numbers_are_told(make: Callable[[], Assigner], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
