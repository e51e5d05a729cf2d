"""Landmark error against a loop over its definition."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import LandmarkError
from facezoo.structures import Faces, Truth

Set = tuple[dict[str, Faces], dict[str, Truth]]


def with_landmarks(predictions: Mapping[str, Faces], truth: Mapping[str, Truth], seed: int) -> Set:
    """Landmarks anywhere in the boxes, a third of the annotated ones unknown."""
    rng = np.random.default_rng(seed)

    def inside(boxes: np.ndarray) -> np.ndarray:
        sizes = (boxes[:, 2:] - boxes[:, :2])[:, None]
        return (boxes[:, None, :2] + sizes * rng.random((len(boxes), 5, 2))).astype(np.float32)

    annotated = {}
    for image_id, one in truth.items():
        points = inside(one.boxes)
        points[rng.random(points.shape[:2]) < 0.33] = np.nan
        points[rng.random(len(points)) < 0.1] = np.nan
        annotated[image_id] = replace(one, landmarks=points)
    found = {key: replace(one, landmarks=inside(one.boxes)) for key, one in predictions.items()}
    return found, annotated


def plain_errors(
    predictions: dict[str, Faces], truth: dict[str, Truth], match: Callable, score_thresh: float
) -> tuple[list[float], list[float]]:
    by_box, by_eyes = [], []
    for image_id, one in truth.items():
        faces = predictions[image_id]
        for p, (g, _) in enumerate(match(faces, one)):
            if g < 0 or faces.scores[p] < score_thresh:
                continue
            points = one.landmarks[g].astype(np.float64)
            distances = [
                np.hypot(*(points[i] - faces.landmarks[p, i].astype(np.float64)))
                for i in range(5)
                if not np.isnan(points[i, 0])
            ]
            if not distances:
                continue
            x1, y1, x2, y2 = one.boxes[g]
            by_box.append(np.mean(distances) / np.sqrt((x2 - x1) * (y2 - y1)))
            if not np.isnan(points[:2]).any():
                by_eyes.append(np.mean(distances) / np.hypot(*(points[1] - points[0])))
    return by_box, by_eyes


@pytest.mark.parametrize("score_thresh", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_definition(
    seed: int, score_thresh: float, random_set: Callable, plain_match: Callable
) -> None:
    predictions, truth = with_landmarks(*random_set(seed), seed)
    limit = 0.5  # random landmarks lie on both sides of it
    metrics = LandmarkError(limit, score_thresh=score_thresh)(predictions, truth).metrics
    expected = plain_errors(predictions, truth, plain_match, score_thresh)
    for name, errors in zip(("box", "eyes"), expected, strict=True):
        place = f"landmark_error/{name}"
        assert metrics[f"{place}_faces"] == len(errors) > 5
        assert metrics[place] == pytest.approx(np.mean(errors), abs=1e-6)
        assert metrics[f"{place}_failures"] == np.mean([error > limit for error in errors])
        for point in (0.1, 0.2, 0.3, 0.4, 0.5):
            within = np.mean([error <= point for error in errors])
            assert metrics[f"{place}_within_{point}"] == within
        # The area by the midpoint rule.
        points = (np.arange(20000) + 0.5) / 20000 * limit
        area = np.mean([(np.array(errors) <= point).mean() for point in points])
        assert metrics[f"{place}_auc"] == pytest.approx(area, abs=1e-4)
    assert metrics["landmark_error/eyes_faces"] < metrics["landmark_error/box_faces"]


def test_exact_landmarks_have_no_error() -> None:
    dataset = SyntheticFaces(num_images=8, image_size=128, face_sizes=(16, 60))
    truth = {dataset.image_id(i): dataset.truth(i) for i in range(8)}
    predictions = {
        key: Faces(one.boxes.astype(np.float32), np.ones(len(one.boxes), np.float32), one.landmarks)
        for key, one in truth.items()
    }
    metrics = LandmarkError()(predictions, truth).metrics
    assert metrics["landmark_error/box_faces"] >= metrics["landmark_error/eyes_faces"] > 5
    assert metrics["landmark_error/box"] == metrics["landmark_error/eyes_failures"] == 0
    assert metrics["landmark_error/box_auc"] == metrics["landmark_error/eyes_within_0.02"] == 1


def test_a_shift_is_measured_in_box_sizes_and_eye_distances() -> None:
    points = np.array([[[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]]], np.float32)
    truth = {"a": Truth(np.array([[0, 0, 50, 32.0]]), np.zeros(1, bool), points)}
    shift = np.array([3, 4], np.float32)
    found = Faces(np.array([[0, 0, 50, 32]], np.float32), np.ones(1, np.float32), points + shift)
    metrics = LandmarkError()({"a": found}, truth).metrics
    assert metrics["landmark_error/box"] == pytest.approx(5 / 40)
    assert metrics["landmark_error/eyes"] == pytest.approx(5 / 20)
    assert metrics["landmark_error/box_failures"] == 1 and metrics["landmark_error/box_auc"] == 0


def test_eyes_in_one_place_give_no_distance() -> None:
    points = np.full((1, 5, 2), 7, np.float32)
    truth = {"a": Truth(np.array([[0, 0, 20, 20.0]]), np.zeros(1, bool), points)}
    found = Faces(np.array([[0, 0, 20, 20]], np.float32), np.ones(1, np.float32), points)
    metrics = LandmarkError()({"a": found}, truth).metrics
    assert metrics["landmark_error/box"] == 0 and metrics["landmark_error/eyes_faces"] == 0


def test_without_landmarks_there_is_only_a_count(random_set: Callable) -> None:
    predictions, truth = random_set(0)
    found, annotated = with_landmarks(predictions, truth, 0)
    nothing = {"landmark_error/box_faces": 0.0, "landmark_error/eyes_faces": 0.0}
    assert LandmarkError()(predictions, annotated).metrics == nothing
    assert LandmarkError()(found, truth).metrics == nothing
    assert LandmarkError()({}, {}).metrics == nothing


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="takes a limit above 0, not 0"):
        LandmarkError(0)
    with pytest.raises(ConfigError, match="LandmarkError takes iou"):
        LandmarkError(iou=2)
