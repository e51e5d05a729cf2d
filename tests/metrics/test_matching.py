"""The matching of predictions and faces against a plain loop."""

from collections.abc import Callable

import numpy as np
import pytest

from facezoo.metrics import matching
from facezoo.metrics.matching import MISSED, match_image, match_set, pairwise_iou
from facezoo.structures import Faces, Truth


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (both - width * height)


def plain_match(
    faces: Faces, boxes: np.ndarray, ignore: np.ndarray, iou: float
) -> tuple[list[int], list[bool]]:
    taken, absorbed = [-1] * len(faces), [False] * len(faces)
    for i in sorted(range(len(faces)), key=lambda i: (-faces.scores[i], i)):
        ious = [plain_iou(faces.boxes[i].astype(np.float64), box) for box in boxes]
        free = [j for j in range(len(boxes)) if not ignore[j] and j not in taken]
        best = max(free, key=lambda j: ious[j], default=-1)
        if best >= 0 and ious[best] >= iou:
            taken[i] = best
        else:
            absorbed[i] = any(ious[j] >= iou for j in range(len(boxes)) if ignore[j])
    return taken, absorbed


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_loop(seed: int, iou: float, random_set: Callable) -> None:
    predictions, truth = random_set(seed)
    outcomes = set()
    for image_id, annotated in truth.items():
        shuffled = np.random.default_rng(seed).permutation(len(predictions[image_id]))
        faces = predictions[image_id][shuffled]
        taken, absorbed = match_image(faces, annotated.boxes, annotated.ignore, iou)
        expected = plain_match(faces, annotated.boxes, annotated.ignore, iou)
        assert (taken.tolist(), absorbed.tolist()) == expected
        outcomes |= set(zip((taken >= 0).tolist(), absorbed.tolist(), strict=True))
    assert outcomes == {(True, False), (False, True), (False, False)}


def test_a_face_is_found_once_and_the_next_best_may_be_taken() -> None:
    boxes = np.array([[0.0, 0, 100, 100], [0, 0, 100, 90]])
    faces = Faces(boxes[[0, 0, 0]].astype(np.float32), np.array([0.7, 0.9, 0.8], np.float32))
    taken, _ = match_image(faces, boxes, np.zeros(2, bool), 0.5)
    assert taken.tolist() == [-1, 0, 1]


def test_set_keeps_scores_and_leaves_out_faces_without_area() -> None:
    boxes = np.array([[0.0, 0, 10, 20], [50, 50, 50, 80], [60, 0, 70, 30], [80, 9, 75, 30]])
    found = Faces(boxes[:2].astype(np.float32), np.array([0.9, 0.8], np.float32))
    matches = match_set({"a": found}, {"a": Truth(boxes, np.zeros(4, bool))}, 0.5)
    assert matches.heights.tolist() == [20, 30]
    assert matches.found_at.tolist() == [np.float32(0.9), MISSED]
    assert matches.hit.tolist() == [True, False] and not matches.absorbed.any()


def test_overlaps_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 50, (40, 2))], axis=1)
    whole = pairwise_iou(boxes, boxes[:7])
    monkeypatch.setattr(matching, "PAIRS_AT_ONCE", 50)
    blocks = list(matching.iou_blocks(boxes, boxes[:7]))
    assert [start for start, _ in blocks] == list(range(0, 40, 7))
    assert (np.concatenate([block for _, block in blocks]) == whole).all()
    plain = [[plain_iou(a, b) for b in boxes[:7]] for a in boxes]
    np.testing.assert_allclose(whole, plain, atol=1e-12)
