"""Faces are indexed, joined and suppressed; targets are mapped, tensor by tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.geometry.boxes import batched_nms
from facezoo.structures import Batch, Faces, Targets


def crowd(n: int, seed: int = 0, landmarks: bool = True) -> Faces:
    """Boxes on whole pixels and scores of one digit, so that there are ties of both."""
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 12, (n, 2)), rng.integers(0, 9, (n, 2))
    return Faces(
        np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        rng.integers(0, 10, n).astype(np.float32) / 10,
        rng.random((n, 5, 2)).astype(np.float32) if landmarks else None,
    )


def same(one: Faces, two: Faces) -> bool:
    pairs = zip(vars(one).values(), vars(two).values(), strict=True)
    return all(np.array_equal(a, b) if b is not None else a is None for a, b in pairs)


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int64(2), [2]),
        (slice(1, 4, 2), [1, 3]),
        (slice(None, None, -1), [4, 3, 2, 1, 0]),
        ([3, 0, 3], [3, 0, 3]),
        ([], []),
        (np.array([True, False, False, True, False]), [0, 3]),
        ([True, False, False, True, False], [0, 3]),
        (np.zeros(5, bool), []),
        (np.array([4, 1]), [4, 1]),
        (np.zeros(0, np.intp), []),
    ],
    ids=str,
)
@pytest.mark.parametrize("landmarks", [True, False])
def test_an_index_takes_the_rows_of_every_field(
    index: object, rows: list[int], landmarks: bool
) -> None:
    faces = crowd(5, landmarks=landmarks)
    taken = faces[index]  # type: ignore[index]
    assert len(taken) == len(rows)
    assert taken.boxes.dtype == taken.scores.dtype == np.float32
    for place, row in enumerate(rows):
        assert np.array_equal(taken.boxes[place], faces.boxes[row])
        assert taken.scores[place] == faces.scores[row]
        if faces.landmarks is not None and taken.landmarks is not None:
            assert np.array_equal(taken.landmarks[place], faces.landmarks[row])
    assert (taken.landmarks is None) == (not landmarks)


def test_faces_are_iterated_one_by_one() -> None:
    faces = crowd(4)
    assert [face.scores.item() for face in faces] == faces.scores.tolist()
    assert all(len(face) == 1 for face in faces)


@pytest.mark.parametrize("index", [5, -6, [0, 7], np.ones(4, bool)], ids=str)
def test_no_such_face(index: object) -> None:
    with pytest.raises(IndexError):
        crowd(5)[index]  # type: ignore[index]


def test_cat_is_the_way_back_from_indexing() -> None:
    faces = crowd(7)
    assert same(Faces.cat([faces[:3], faces[3], faces[4:4], faces[4:]]), faces)
    assert same(Faces.cat(list(faces)), faces)
    assert same(Faces.cat([faces[:0], faces[:0]]), faces[:0])
    assert len(Faces.cat([])) == 0


def test_cat_refuses_to_drop_landmarks_but_not_for_a_part_without_faces() -> None:
    known, unknown = crowd(3), crowd(3, landmarks=False)
    with pytest.raises(ValueError, match=r"landmarks cannot be joined.*drop the landmarks"):
        Faces.cat([known, unknown])
    assert same(Faces.cat([unknown[:0], known]), known)
    assert same(Faces.cat([known[:0], unknown]), unknown)


def test_cat_does_not_look_at_a_generator_twice() -> None:
    faces = crowd(3)
    assert same(Faces.cat(faces[i] for i in range(3)), faces)


def brute_force(faces: Faces, iou_thresh: float) -> list[int]:
    """The faces that stay, by counting the whole pixels that two boxes share."""
    canvas = np.zeros((len(faces), 24, 24), bool)
    for face, (x1, y1, x2, y2) in zip(canvas, faces.boxes.astype(int), strict=True):
        face[y1:y2, x1:x2] = True
    kept: list[int] = []
    for i in sorted(range(len(faces)), key=lambda i: (-faces.scores[i], i)):
        unions = [(canvas[i] | canvas[k]).sum() for k in kept]
        shared = [(canvas[i] & canvas[k]).sum() for k in kept]
        if all(s <= iou_thresh * u for s, u in zip(shared, unions, strict=True)):
            kept.append(i)
    return kept


@given(st.integers(0, 40), st.integers(0, 2**16), st.sampled_from([0.0, 0.13, 0.37, 0.7, 1.0]))
@settings(max_examples=200, deadline=None)
def test_suppression_is_greedy(n: int, seed: int, iou_thresh: float) -> None:
    faces = crowd(n, seed)
    assert same(faces.suppressed(iou_thresh), faces[brute_force(faces, iou_thresh)])


@pytest.mark.parametrize("iou_thresh", [0.1, 0.25, 0.4, 0.5, 0.6])
def test_suppression_is_that_of_a_detector(iou_thresh: float) -> None:
    faces = crowd(300, seed=5)
    boxes, scores = torch.from_numpy(faces.boxes), torch.from_numpy(faces.scores)
    (kept,) = batched_nms(boxes[None], scores[None], -1.0, iou_thresh)
    assert same(faces.suppressed(iou_thresh), faces[kept.numpy()])


def numbered() -> Targets:
    return Targets(*(torch.full((2, 3), number) for number in range(6)))


def test_targets_are_mapped_in_the_order_of_their_fields() -> None:
    mapped = numbered().map(lambda tensor: tensor[:1] + 10)
    for number, name in enumerate(Targets.__dataclass_fields__):
        assert torch.equal(getattr(mapped, name), torch.full((1, 3), 10 + number)), name


def test_a_batch_is_mapped_but_for_its_maps() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 4), numbered(), ("a", "b"), torch.eye(2), dropped=3)
    mapped = batch.map(lambda tensor: tensor + 1)
    assert torch.equal(mapped.images, batch.images + 1)
    assert torch.equal(mapped.targets.labels, batch.targets.labels + 1)
    assert mapped.maps is batch.maps and mapped.ids == batch.ids and mapped.dropped == 3
    moved = batch.to("meta")
    assert moved.images.is_meta and moved.targets.valid.is_meta and not moved.maps.is_meta
