import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.assigners import Assigner, SimOTA
from facezoo.structures import Grid, Targets


def cross_entropy(scores: list[float], label: int) -> float:
    chances = [score if c == label else 1 - score for c, score in enumerate(scores)]
    return -sum(math.log(max(chance, 1e-7)) for chance in chances)


def sim_ota_by_loop(
    exact, grid: Grid, targets: Targets, decoded, image: int, rule: SimOTA
) -> tuple[list[int], list[float]]:
    priors = [exact.numbers(row) for row in grid.priors]
    strides = exact.numbers(grid.strides)
    predicted = [exact.numbers(row) for row in decoded[0][image]]
    scores = decoded[1][image].double().tolist()
    reach = Fraction(str(rule.radius))
    owner: dict[int, tuple[bool, float, int]] = {}
    faces = exact.faces(targets, image, ignored=False)
    for g, box in faces.items():
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        costs, overlaps = [], []
        for p, (px, py, _, _) in enumerate(priors):
            inside = box[0] < px < box[2] and box[1] < py < box[3]
            near = max(abs(px - x), abs(py - y)) < reach * strides[p]
            if not (inside or near):
                continue
            iou = exact.iou(box, predicted[p])
            cost = cross_entropy(scores[p], int(targets.labels[image, g]))
            cost -= rule.iou_weight * math.log(float(iou) + 1e-8)
            overlaps.append(iou)
            costs.append((not (inside and near), cost, p))
        wanted = max(1, int(sum(sorted(overlaps)[-rule.top_k :]) + Fraction(1, 10**5)))
        for away, cost, p in sorted(costs)[:wanted]:
            owner[p] = min(owner.get(p, (away, cost, g)), (away, cost, g))
    index = [owner[p][2] if p in owner else -1 for p in range(len(priors))]
    quality = [
        float(exact.iou(faces[g], predicted[p])) if g >= 0 else 0.0 for p, g in enumerate(index)
    ]
    return exact.hide(index, grid, targets, image), quality


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    radius=st.sampled_from([1.0, 2.5]),
    top_k=st.sampled_from([1, 4, 10]),
    classes=st.integers(1, 3),
    points=st.booleans(),
    size=st.sampled_from([(64, 64), (40, 96)]),
)
# An ignored face that two sizes of priors fit equally well.
@example(seed=242432104, radius=1.0, top_k=1, classes=1, points=False, size=(64, 64))
# Scores of 0 and of 1 cost the same where they are wrong.
@example(seed=539490673, radius=1.0, top_k=10, classes=3, points=False, size=(40, 96))
def test_sim_ota_equals_a_loop(scenes, exact, seed, radius, top_k, classes, points, size) -> None:
    grid = scenes.grid(*size, scenes.POINTS if points else None)
    rule = SimOTA(radius=radius, top_k=top_k)
    targets = scenes.random_targets(seed, 2, faces=6, size=64, whole=True, classes=classes)
    decoded = scenes.predictions(seed, grid, batch=2, whole=True, classes=classes)
    assignment = rule(grid, targets, decoded)
    expected = [sim_ota_by_loop(exact, grid, targets, decoded, image, rule) for image in range(2)]
    assert assignment.index.tolist() == [index for index, _ in expected]
    torch.testing.assert_close(
        assignment.quality, torch.tensor([quality for _, quality in expected])
    )


def test_a_face_gets_as_many_priors_as_fit_it(scenes) -> None:
    grid = scenes.grid(64, 64, scenes.POINTS)
    box = torch.tensor([16.0, 16, 48, 48])
    targets = scenes.targets(box.view(1, 1, 4))
    for fitting, wanted in [(0, 1), (1, 1), (3, 3), (9, 9), (40, 10)]:
        predicted = torch.zeros(1, len(grid.priors), 4)
        middle = (grid.priors[:, :2] - 32).abs().amax(dim=-1)
        predicted[0, middle.argsort(stable=True)[:fitting]] = box
        scores = torch.full((1, len(grid.priors), 1), 0.5)
        assert (SimOTA()(grid, targets, (predicted, scores)).index == 0).sum() == wanted


def test_a_sure_prediction_costs_less(scenes) -> None:
    grid = scenes.grid(64, 64, scenes.POINTS)
    box = torch.tensor([[[16.0, 16, 48, 48]]])
    scores = torch.full((1, len(grid.priors), 1), 0.1)
    sure = int((grid.priors[:, :2] - 28).abs().amax(dim=-1).argmin())
    scores[0, sure] = 0.9
    decoded = torch.zeros(1, len(grid.priors), 4), scores
    index = SimOTA()(grid, scenes.targets(box), decoded).index
    assert (index[0] == 0).nonzero().flatten().tolist() == [sure]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SimOTA(radius=0), "radius of SimOTA is 0"),
        (lambda: SimOTA(top_k=0), "top_k of SimOTA is 0"),
        (lambda: SimOTA(iou_weight=-1), "iou_weight of SimOTA is -1"),
        (lambda: SimOTA(iou_weight=51), "iou_weight of SimOTA is 51: give 0 to 50"),
    ],
)
def test_wrong_numbers_are_told(make: Callable[[], Assigner], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
