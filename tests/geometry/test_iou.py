import math

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from facezoo.geometry.boxes import aligned_ciou, aligned_diou, aligned_giou, aligned_iou

coordinate = st.integers(-50, 300)
side = st.integers(1, 200)
box = st.builds(
    lambda x, y, w, h: (float(x), float(y), float(x + w), float(y + h)),
    coordinate,
    coordinate,
    side,
    side,
)
MEASURES = [aligned_iou, aligned_giou, aligned_diou, aligned_ciou]


def overlap_of(a: tuple[float, ...], b: tuple[float, ...]) -> dict[str, float]:
    """The four measures of one pair, written out from the papers in float64."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - width * height
    iou = width * height / union
    hull_width = max(a[2], b[2]) - min(a[0], b[0])
    hull_height = max(a[3], b[3]) - min(a[1], b[1])
    giou = iou - (hull_width * hull_height - union) / (hull_width * hull_height)
    centres = [((c[0] + c[2]) / 2, (c[1] + c[3]) / 2) for c in (a, b)]
    diou = iou - math.dist(*centres) ** 2 / (hull_width**2 + hull_height**2)
    angles = [math.atan((c[2] - c[0]) / (c[3] - c[1])) for c in (a, b)]
    shape = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    alpha = shape / (1 - iou + shape) if shape else 0.0
    ciou = diou - alpha * shape
    return {"aligned_iou": iou, "aligned_giou": giou, "aligned_diou": diou, "aligned_ciou": ciou}


@given(st.lists(st.tuples(box, box), min_size=1, max_size=8))
def test_measures_equal_the_definitions(pairs: list[tuple[tuple[float, ...], ...]]) -> None:
    first, second = torch.tensor([a for a, _ in pairs]), torch.tensor([b for _, b in pairs])
    for measure in MEASURES:
        expected = [overlap_of(a, b)[measure.__name__] for a, b in pairs]
        torch.testing.assert_close(
            measure(first, second), torch.tensor(expected), rtol=1e-5, atol=1e-5
        )


@given(st.lists(box, min_size=1, max_size=6), st.lists(box, min_size=1, max_size=6))
def test_iou_of_all_pairs(first: list, second: list) -> None:
    table = aligned_iou(torch.tensor(first).unsqueeze(-2), torch.tensor(second))
    expected = [[overlap_of(a, b)["aligned_iou"] for b in second] for a in first]
    torch.testing.assert_close(table, torch.tensor(expected), rtol=1e-6, atol=1e-6)


def test_iou_broadcasts_images() -> None:
    first = torch.tensor([[0.0, 0, 10, 10]]).expand(3, 2, 1, 4)
    second = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    table = aligned_iou(first.unsqueeze(-2), second)
    assert table.shape == (3, 2, 1, 2)
    assert table[1, 1, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("measure", "reference"),
    [
        (aligned_giou, torchvision.ops.generalized_box_iou_loss),
        (aligned_diou, torchvision.ops.distance_box_iou_loss),
        (aligned_ciou, torchvision.ops.complete_box_iou_loss),
    ],
)
def test_measures_and_gradients_equal_torchvision(measure, reference) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 200, 2, generator=generator) * 100
    size = torch.rand(2, 200, 2, generator=generator) * 80 + 1
    prediction, target = torch.cat([corner, corner + size], dim=-1)
    ours, theirs = prediction.clone().requires_grad_(), prediction.clone().requires_grad_()
    loss, expected = 1 - measure(ours, target), reference(theirs, target)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


DEGENERATE = [
    [0.0, 0, 0, 0],  # padding
    [5.0, 5, 5, 9],  # no width
    [5.0, 5, 9, 5],  # no height
    [9.0, 9, 5, 5],  # inverted
    [9.0, 5, 5, 9],  # inverted in x alone
    [1e-6, 1e-6, 2e-6, 2e-6],  # tiny
    [-1e5, -1e5, 1e5, 1e5],  # huge
    [5.0, 5, 9, 9],
]


@pytest.mark.parametrize("measure", MEASURES)
def test_degenerate_boxes_are_finite_with_finite_gradients(measure) -> None:
    boxes = torch.tensor(DEGENERATE)
    first = boxes.repeat_interleave(len(boxes), 0).requires_grad_()
    second = boxes.repeat(len(boxes), 1).requires_grad_()
    value = measure(first, second)
    value.sum().backward()
    assert value.isfinite().all()
    assert first.grad.isfinite().all()
    assert second.grad.isfinite().all()
    assert (value <= 1 + 1e-6).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_boxes_measure_one(measure) -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [600, 600, 640, 603], [0.1, 0.7, 333.3, 5.9]])
    torch.testing.assert_close(measure(boxes, boxes), torch.ones(3))


def test_half_precision_is_computed_in_float32() -> None:
    boxes = torch.tensor([[1000.0, 1000, 1008, 1008]])
    moved = boxes + 1
    assert aligned_iou(boxes.bfloat16(), moved.half()).dtype == torch.float32
    torch.testing.assert_close(aligned_iou(boxes.half(), moved.half()), aligned_iou(boxes, moved))
