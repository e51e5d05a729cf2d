"""Anchors: their fitness by loops, clusters that are known, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.cluster.vq import ClusterError

from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.datatools.anchors import by_stride, face_sides, fit_anchors, fitness
from facezoo.errors import ConfigError, DataError
from facezoo.structures import Batch, Targets

lengths = st.floats(1.0, 500.0)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=lengths),
    arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2)), elements=lengths),
    st.floats(1.1, 8.0),
)
def test_fitness_is_that_of_loops(faces: np.ndarray, anchors: np.ndarray, limit: float) -> None:
    recalled = fitting = 0
    best = []
    for width, height in faces.tolist():
        ratios = [max(width / w, w / width, height / h, h / height) for w, h in anchors.tolist()]
        if any(abs(ratio - limit) < 1e-9 for ratio in ratios):
            return  # which side of the limit it is on is a matter of rounding
        recalled += min(ratios) < limit
        fitting += sum(ratio < limit for ratio in ratios)
        best.append(1 / min(ratios))
    found = fitness(faces, anchors, limit)
    assert found.best_possible_recall == pytest.approx(recalled / len(faces))
    assert found.anchors_per_face == pytest.approx(fitting / len(faces))
    assert found.mean_best_ratio == pytest.approx(sum(best) / len(best), rel=1e-9)


def clusters(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Few large faces and many small ones, around known sizes."""
    centres = np.array([[6.0, 8.0], [20.0, 24.0], [60.0, 84.0], [200.0, 260.0]])
    generator = np.random.default_rng(1)
    parts = [
        centre * np.exp(generator.normal(0, spread, (count, 2)))
        for centre, count in zip(centres, (400, 200, 60, 20), strict=True)
    ]
    return centres, np.concatenate(parts)


def test_known_clusters_are_found_in_the_order_of_their_areas() -> None:
    centres, faces = clusters(0.05)
    np.testing.assert_allclose(fit_anchors(faces, 4, seed=3), centres, rtol=0.05)


def test_no_anchors_nearby_fit_better() -> None:
    """The mean distance in logarithms, by loops, is no less for anchors of other sizes."""
    _, faces = clusters(0.4)

    def inertia(anchors: np.ndarray) -> float:
        logs, found = np.log(faces), np.log(anchors)
        return float(np.mean([min(np.linalg.norm(one - other) for other in found) for one in logs]))

    anchors = fit_anchors(faces, 4)
    least = inertia(anchors)
    generator = np.random.default_rng(5)
    chosen = [faces[generator.choice(len(faces), 4, replace=False)] for _ in range(5)]
    assert all(least < inertia(other) for other in (*chosen, anchors * 1.2, anchors / 1.2))


def test_the_seed_decides() -> None:
    _, faces = clusters(0.4)
    assert np.array_equal(fit_anchors(faces, 6, seed=1), fit_anchors(faces, 6, seed=1))


def test_too_few_sizes() -> None:
    with pytest.raises(DataError, match="fewer than 3 different sizes"):
        fit_anchors(np.array([[4.0, 5.0], [8.0, 9.0], [4.0, 5.0]]), 3)


@pytest.mark.parametrize("num", [6, 9, 12])
def test_there_are_as_many_anchors_as_were_asked_for(num: int) -> None:
    """Faces of few sizes, each many times, of which plain k-means loses clusters."""
    generator = np.random.default_rng(0)
    for seed in range(12):
        sizes = np.exp(generator.normal(3, 1, (num + seed, 2))).round(1) + 1
        faces = sizes.repeat(generator.integers(1, 50, len(sizes)), axis=0)
        assert fit_anchors(faces, num, seed).shape == (num, 2)
        near = generator.integers(20, 24, (500, 2)).astype(float)  # 16 sizes side by side
        assert len(np.unique(fit_anchors(near, num, seed), axis=0)) == num


def test_as_many_anchors_as_sizes_are_the_sizes() -> None:
    sizes = np.array([[4.0, 5.0], [8.0, 9.0], [8.0, 9.1], [30.0, 42.0], [200.0, 240.0]])
    np.testing.assert_allclose(fit_anchors(sizes.repeat(20, axis=0), 5), sizes)


def test_no_start_without_a_lost_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        raise ClusterError

    monkeypatch.setattr("facezoo.datatools.anchors.kmeans2", lose)
    with pytest.raises(DataError, match="k-means finds fewer than 3 clusters of these faces"):
        fit_anchors(clusters(0.4)[1], 3)


def test_anchors_of_tiny_faces_have_sides() -> None:
    faces = np.array([[0.04, 30.0], [5.0, 0.03], [40.0, 50.0]]).repeat(5, axis=0)
    np.testing.assert_allclose(fit_anchors(faces, 3), [[5.0, 0.1], [0.1, 30.0], [40.0, 50.0]])


def test_faces_without_area_are_left_out() -> None:
    boxes = torch.tensor([[[0, 0, 10, 12], [5, 5, 5, 20], [5, 5, 20, 5], [1, 1, 31, 41]]]).float()
    known = torch.ones(1, 4, dtype=torch.bool)
    points = torch.zeros(1, 4, 5, 2)
    targets = Targets(boxes, known, ~known, known.long(), points, points[..., 0] > 0)
    batch = Batch(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), targets, ["a"], [np.eye(3)])
    assert face_sides([batch]).tolist() == [[10, 12], [30, 40]]


def test_the_finest_stride_has_the_smallest() -> None:
    anchors = np.array([[4.0, 5.0], [8.0, 9.0], [16.0, 20.0], [30.0, 40.0]])
    assert by_stride(anchors, [16, 8]) == {8: [[4, 5], [8, 9]], 16: [[16, 20], [30, 40]]}
    for strides in ([8, 16, 32], [8, 8], [0, 8]):
        with pytest.raises(ConfigError, match="4 anchors cannot be shared equally by the strides"):
            by_stride(anchors, strides)


def test_faces_are_those_that_are_taught() -> None:
    dataset, transforms = build_dataset(load_config("tiny_test"), "train")
    stream = train_stream(dataset, transforms, batch_size=4, seed=2)
    batches = [next(stream) for _ in range(3)]
    expected = [
        (box[2] - box[0], box[3] - box[1])
        for batch in batches
        for box, valid, ignored in zip(
            batch.targets.boxes.flatten(0, 1).tolist(),
            batch.targets.valid.flatten().tolist(),
            batch.targets.ignore.flatten().tolist(),
            strict=True,
        )
        if valid and not ignored
    ]
    assert any(bool(batch.targets.ignore.any()) for batch in batches)
    np.testing.assert_allclose(face_sides(batches), expected, rtol=1e-6)


def test_no_face_at_all() -> None:
    dataset, transforms = build_dataset(
        load_config("tiny_test", ["data.train.dataset.max_faces=0"]), "train"
    )
    with pytest.raises(DataError, match="no face to fit anchors to"):
        face_sides([next(train_stream(dataset, transforms, batch_size=2, seed=0))])
