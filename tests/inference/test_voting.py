"""Faces of several views joined, against a definition in plain loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from facezoo.data.transforms.geometric import Flip
from facezoo.inference.voting import unmirrored, vote
from facezoo.structures import Faces, Sample


def random_faces(generator: np.random.Generator, count: int, landmarks: bool = True) -> Faces:
    """Faces around a few places, so that views see the same ones a little apart."""
    centres = np.array([[40, 40], [90, 50], [60, 120]])[generator.integers(3, size=count)]
    corners = centres + generator.normal(0, 4, (count, 2))
    sides = generator.uniform(20, 40, (count, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    scores = np.sort(generator.uniform(0.02, 1, count).astype(np.float32))[::-1].copy()
    points = generator.uniform(0, 100, (count, 5, 2)).astype(np.float32)
    return Faces(boxes, scores, points if landmarks else None)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("seed", range(20))
def test_voting_by_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    views = [random_faces(generator, int(generator.integers(0, 8))) for _ in range(3)]
    rows = [
        (float(score), box.astype(np.float64), points.astype(np.float64))
        for view in views
        for box, score, points in zip(view.boxes, view.scores, view.landmarks, strict=True)
    ]
    rows.sort(key=lambda row: -row[0])
    expected = []
    while rows:
        best = rows[0]
        group = [row for row in rows if row is best or iou(best[1], row[1]) >= 0.4]
        rows = [row for row in rows if not any(row is one for one in group)]
        total = sum(row[0] for row in group)
        box = sum(row[0] * row[1] for row in group) / total
        points = sum(row[0] * row[2] for row in group) / total
        expected.append((best[0], box, points))
    found = vote(views, 0.4)
    assert len(found) == len(expected)
    for i, (score, box, points) in enumerate(expected):
        assert found.scores[i] == pytest.approx(score)
        np.testing.assert_allclose(found.boxes[i], box, rtol=1e-5)
        np.testing.assert_allclose(found.landmarks[i], points, rtol=1e-5)


def test_a_crowd_in_ten_views_needs_little_memory() -> None:
    """10,000 faces: a table of all pairs would take gigabytes."""
    generator = np.random.default_rng(1)
    corners = generator.uniform(0, 4000, (1000, 2))
    crowd = np.concatenate([corners, corners + 20], axis=1).astype(np.float32)
    scores = np.full(1000, 0.5, np.float32)
    views = [Faces(crowd, scores) for _ in range(10)]
    tracemalloc.start()
    joined = vote(views, 0.4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20
    assert 900 < len(joined) <= 1000


def test_the_same_view_twice_changes_nothing() -> None:
    generator = np.random.default_rng(3)
    faces = vote([random_faces(generator, 9)], 0.4)
    apart = faces[0]
    twice = vote([apart, apart], 0.4)
    np.testing.assert_allclose(twice.boxes, apart.boxes, rtol=1e-6)
    assert np.array_equal(twice.scores, apart.scores)


def test_nothing_found_anywhere() -> None:
    nothing = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    assert len(vote([nothing, nothing], 0.4)) == 0


def test_without_landmarks_there_are_none() -> None:
    generator = np.random.default_rng(0)
    assert vote([random_faces(generator, 4, landmarks=False)] * 2, 0.4).landmarks is None


def test_mirrored_faces_go_back_as_a_flip_takes_them() -> None:
    faces = random_faces(np.random.default_rng(5), 6)
    sample = Sample(
        image=np.zeros((200, 150, 3), np.uint8),
        boxes=faces.boxes,
        landmarks=faces.landmarks,
        ignore=np.zeros(6, bool),
        labels=np.zeros(6, np.int64),
        image_id="drawn",
    )
    mirrored = Flip(p=1.0)(sample, np.random.default_rng(0))
    back = unmirrored(Faces(mirrored.boxes, faces.scores, mirrored.landmarks), 150)
    np.testing.assert_allclose(back.boxes, faces.boxes, atol=1e-4)
    np.testing.assert_allclose(back.landmarks, faces.landmarks, atol=1e-4)
