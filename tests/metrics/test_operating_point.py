"""Precision, recall and F1 against counting; the best threshold against trying all."""

from collections.abc import Callable

import numpy as np
import pytest

from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import OperatingPoint
from facezoo.structures import Faces, Truth

PREFIX = "operating_point/"


def at(predictions: dict, truth: dict, threshold: float) -> dict[str, float]:
    metrics = OperatingPoint(score_thresh=threshold)(predictions, truth).metrics
    assert all(name.startswith(PREFIX) for name in metrics)
    return {name.removeprefix(PREFIX): value for name, value in metrics.items()}


@pytest.mark.parametrize("seed", range(3))
def test_best_threshold_is_the_best_of_all(seed: int, random_set: Callable) -> None:
    predictions, truth = random_set(seed)
    scores = np.unique(np.concatenate([faces.scores for faces in predictions.values()]))
    points = {score: at(predictions, truth, float(score)) for score in scores}
    best = max(points, key=lambda score: (points[score]["f1"], score))
    for point in points.values():
        assert point["best_threshold"] == best
        assert point["best_f1"] == points[best]["f1"]
        harmonic = 2 * point["precision"] * point["recall"]
        assert point["f1"] == pytest.approx(harmonic / (point["precision"] + point["recall"]))


def test_a_threshold_judges_only_what_it_shows(random_set: Callable) -> None:
    predictions, truth = random_set(7)
    shown = {one: faces[faces.scores >= 0.4] for one, faces in predictions.items()}
    first, second = at(predictions, truth, 0.4), at(shown, truth, 0.0)
    for name in ("precision", "recall", "f1", "faces_per_image"):
        assert first[name] == second[name]


def test_counts_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
    truth = {"a": Truth(boxes.astype(np.float64), np.array([False, False, False, True]))}
    found = boxes[[0, 1, 3, 3]]
    alarm = [[90, 90, 99, 99]]
    faces = Faces(
        np.concatenate([found, alarm]).astype(np.float32),
        np.array([0.9, 0.6, 0.8, 0.7, 0.75], np.float32),
    )
    point = at({"a": faces}, truth, 0.5)
    assert point["precision"] == pytest.approx(2 / 3)  # the two on the ignored face do not count
    assert point["recall"] == pytest.approx(2 / 3)
    assert point["faces_per_image"] == 5
    assert point["best_threshold"] == pytest.approx(0.6)


def test_the_truth_scores_one(random_set: Callable, as_predictions: Callable) -> None:
    _, truth = random_set(0)
    distinct = {}
    for image_id, annotated in truth.items():
        first = np.unique(annotated.boxes, axis=0, return_index=True)[1]
        distinct[image_id] = Truth(annotated.boxes[first], annotated.ignore[first])
    point = at(as_predictions(distinct), distinct, 0.5)
    assert [point[name] for name in ("precision", "recall", "f1", "best_f1")] == [1.0] * 4


def test_nothing() -> None:
    no_face = Truth(np.zeros((0, 4)), np.zeros(0, dtype=bool))
    for truth in ({}, {"a": no_face}):
        point = at({}, truth, 0.3)
        assert point.pop("best_threshold") == 0.3
        assert set(point.values()) == {0.0}


@pytest.mark.parametrize("name", ["score_thresh", "iou"])
def test_argument_out_of_range(name: str) -> None:
    with pytest.raises(ConfigError, match=f"takes {name} from 0 to 1, not 50"):
        OperatingPoint(**{name: 50})
