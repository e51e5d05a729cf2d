import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.geometry.boxes import batched_nms

THRESH = 0.3701234  # no ratio of small integers, whose rounding would decide


def greedy(boxes: torch.Tensor, scores: torch.Tensor, score_thresh: float, nms_thresh: float):
    """The rule for one image by loops in float64."""
    left = [i for i in range(len(scores)) if scores[i] > score_thresh]
    left.sort(key=lambda i: (-float(scores[i]), i))
    kept: list[int] = []
    for i in left:
        if all(iou(boxes[i].tolist(), boxes[j].tolist()) <= nms_thresh for j in kept):
            kept.append(i)
    return kept


def iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return width * height / (areas - width * height)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 40))
def test_equals_the_greedy_rule_of_each_image(seed: int, images: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 60, (images, count, 2), generator=generator).float()
    size = torch.randint(5, 40, (images, count, 2), generator=generator).float()
    boxes = torch.cat([corner, corner + size], dim=-1)
    # Few distinct scores: equal ones are to stay in the order of their indices.
    scores = torch.randint(0, 8, (images, count), generator=generator) / 8
    kept = batched_nms(boxes, scores, 0.25, THRESH)
    expected = [greedy(b, s, 0.25, THRESH) for b, s in zip(boxes, scores, strict=True)]
    assert [indices.tolist() for indices in kept] == expected


def test_neighbours_in_the_batch_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(6, 400, 2, generator=generator) * 300
    boxes = torch.cat([corner, corner + 20 + 60 * torch.rand(6, 400, 2, generator=generator)], -1)
    scores = torch.rand(6, 400, generator=generator)
    together = batched_nms(boxes, scores, 0.1, 0.4)
    for i in range(6):
        (alone,) = batched_nms(boxes[i : i + 1], scores[i : i + 1], 0.1, 0.4)
        assert torch.equal(alone, together[i])


def test_nothing_is_capped_and_nothing_found_is_empty() -> None:
    x = torch.arange(2000.0) * 10
    boxes = torch.stack([x, x * 0, x + 9, x * 0 + 9], dim=-1).expand(2, -1, -1)
    scores = torch.stack([torch.full((2000,), 0.5), torch.full((2000,), 0.02)])
    full, empty = batched_nms(boxes, scores, 0.02, 0.4)
    assert full.tolist() == list(range(2000))
    assert empty.tolist() == []  # a score has to be above the threshold, not at it


def test_half_precision_is_taken_and_computed_in_float32() -> None:
    # An area of 600 x 600 overflows float16, and an IoU of inf / inf would suppress nothing.
    boxes = torch.tensor([[[0.0, 0, 600, 600], [0, 0, 600, 596]]]).half()
    (kept,) = batched_nms(boxes, torch.tensor([[0.9, 0.8]]).bfloat16(), 0.1, 0.3)
    assert kept.tolist() == [0]
