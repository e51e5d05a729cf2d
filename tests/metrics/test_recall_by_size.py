"""Recall by face height."""

from collections.abc import Callable

import numpy as np
import pytest

from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import OperatingPoint, RecallBySize
from facezoo.structures import Faces, Truth


@pytest.mark.parametrize("score_thresh", [0.0, 0.6])
def test_weighted_recalls_are_the_whole_recall(score_thresh: float, random_set: Callable) -> None:
    predictions, truth = random_set(1, images=20)
    metrics = RecallBySize(score_thresh=score_thresh)(predictions, truth).metrics
    counts = {name: n for name, n in metrics.items() if name.endswith("_faces")}
    whole = sum(metrics.get(name.removesuffix("_faces"), 0) * n for name, n in counts.items())
    faces = sum((~one.ignore).sum() for one in truth.values())
    assert sum(counts.values()) == faces
    expected = OperatingPoint(score_thresh)(predictions, truth).metrics["operating_point/recall"]
    assert whole / faces == pytest.approx(expected)
    assert 0 < expected < 1


def test_edges_belong_to_the_bucket_above() -> None:
    heights = np.array([7.99, 8, 15.5, 16, 500])
    left = np.arange(5) * 50.0
    boxes = np.stack([left, 0 * left, left + 40, heights], axis=1)
    truth = {"a": Truth(boxes, np.zeros(5, dtype=bool))}
    found = Faces(boxes[[1, 3, 4]].astype(np.float32), np.full(3, 0.01, np.float32))
    metrics = RecallBySize(edges=[0, 8, 16])({"a": found}, truth).metrics
    assert metrics == {
        "recall_by_size/0-8": 0.0,
        "recall_by_size/0-8_faces": 1,
        "recall_by_size/8-16": 0.5,
        "recall_by_size/8-16_faces": 2,
        "recall_by_size/16+": 1.0,
        "recall_by_size/16+_faces": 2,
    }


def test_nothing() -> None:
    """A share of no faces is no number."""
    metrics = RecallBySize()({}, {}).metrics
    assert len(metrics) == 6 and set(metrics.values()) == {0.0}
    assert all(name.endswith("_faces") for name in metrics)


@pytest.mark.parametrize("edges", [[], [8, 16], [0, 16, 8], [0, 8, 8]])
def test_edges_that_leave_faces_out(edges: list[int]) -> None:
    with pytest.raises(ConfigError, match="takes edges that rise from 0"):
        RecallBySize(edges=edges)
