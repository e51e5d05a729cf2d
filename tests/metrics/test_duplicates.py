"""Duplicates against a loop over their definition."""

from collections.abc import Callable

import numpy as np
import pytest

from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import Duplicates
from facezoo.structures import Faces, Truth


@pytest.mark.parametrize("score_thresh", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_definition(
    seed: int, score_thresh: float, random_set: Callable, plain_match: Callable, plain_iou: Callable
) -> None:
    predictions, truth = random_set(seed)
    metrics = Duplicates(score_thresh=score_thresh)(predictions, truth).metrics
    duplicates, found, alarms = 0, 0, 0
    doubled = set()
    for image_id, one in truth.items():
        faces = predictions[image_id]
        outcome = plain_match(faces, one)
        for p, (face, absorbed) in enumerate(outcome):
            if faces.scores[p] < score_thresh or absorbed:
                continue
            found += face >= 0
            if face >= 0:
                continue
            alarms += 1
            ious = [
                -1 if ignored else plain_iou(faces.boxes[p], box)
                for box, ignored in zip(one.boxes, one.ignore, strict=True)
            ]
            if ious and max(ious) >= 0.5:
                duplicates += 1
                doubled.add((image_id, int(np.argmax(ious))))
                # It is a duplicate because a better one took the face.
                takers = [q for q, (taken, _) in enumerate(outcome) if taken == np.argmax(ious)]
                assert len(takers) == 1 and faces.scores[takers[0]] >= faces.scores[p]
    assert duplicates > 3
    assert metrics == {
        "duplicates/per_image": duplicates / len(truth),
        "duplicates/per_found_face": duplicates / found,
        "duplicates/doubled_faces": len(doubled),
        "duplicates/share_of_false_alarms": duplicates / alarms,
    }


def test_neighbours_are_no_duplicates(as_predictions: Callable) -> None:
    """Two faces that overlap, each with a prediction of its own."""
    boxes = np.array([[0, 0, 40, 40], [10, 0, 50, 40.0]])
    truth = {"a": Truth(boxes, np.zeros(2, bool))}
    assert set(Duplicates()(as_predictions(truth), truth).metrics.values()) == {0.0}


def test_on_an_ignored_face_nothing_is_a_duplicate() -> None:
    box = np.array([[0, 0, 40, 40]])
    found = Faces(np.repeat(box, 3, axis=0).astype(np.float32), np.full(3, 0.5, np.float32))
    for ignored, expected in ((True, 0), (False, 2)):
        truth = {"a": Truth(box.astype(np.float64), np.array([ignored]))}
        assert Duplicates()({"a": found}, truth).metrics["duplicates/per_image"] == expected


def test_nothing() -> None:
    assert set(Duplicates()({}, {}).metrics.values()) == {0.0}
    with pytest.raises(ConfigError, match="Duplicates takes iou from 0 to 1, not 3"):
        Duplicates(iou=3)
