"""Calibration against a loop over its definition, and on scores that are right by construction."""

import logging
from collections.abc import Callable

import numpy as np
import pytest

from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import Calibration
from facezoo.structures import Faces, Truth


@pytest.mark.parametrize("bins", [1, 10, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_definition(
    seed: int, bins: int, random_set: Callable, plain_match: Callable
) -> None:
    predictions, truth = random_set(seed)
    rows = []
    for image_id, one in truth.items():
        scores = predictions[image_id].scores.astype(np.float64)
        for (face, absorbed), score in zip(
            plain_match(predictions[image_id], one), scores, strict=True
        ):
            if not absorbed:
                rows.append((score, face >= 0))
    metrics = Calibration(bins)(predictions, truth).metrics
    error = 0.0
    for i in range(bins):
        low, high = i / bins, (i + 1) / bins
        mine = [row for row in rows if low <= row[0] < high or (i == bins - 1 and row[0] == high)]
        name = f"calibration/{low:.3g}-{high:.3g}"
        assert metrics[f"{name}_predictions"] == len(mine)
        assert (f"{name}/precision" in metrics) == bool(mine)
        if mine:
            score, precision = np.mean(mine, axis=0)
            assert metrics[f"{name}/score"] == pytest.approx(score)
            assert metrics[f"{name}/precision"] == pytest.approx(precision)
            error += len(mine) / len(rows) * abs(score - precision)
    assert metrics["calibration/ece"] == pytest.approx(error)
    assert metrics["calibration/predictions"] == len(rows)


@pytest.mark.parametrize(("power", "low", "high"), [(1.0, 0.0, 0.02), (3.0, 0.15, 0.3)])
def test_scores_that_are_probabilities_have_no_error(power: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    count = 20000
    scores = rng.random(count)
    left = np.arange(count) * 20.0
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    is_face = rng.random(count) < scores**power
    truth, predictions = {}, {}
    for i in range(0, count, 500):
        part = slice(i, i + 500)
        truth[f"{i}"] = Truth(boxes[part][is_face[part]], np.zeros(is_face[part].sum(), bool))
        predictions[f"{i}"] = Faces(boxes[part].astype(np.float32), scores[part].astype(np.float32))
    error = Calibration()(predictions, truth).metrics["calibration/ece"]
    assert low <= error < high


def test_scores_that_are_none(caplog: pytest.LogCaptureFixture) -> None:
    found = Faces(
        np.array([[0, 0, 9, 9], [0, 0, 5, 5]], np.float32), np.array([7, 0.5], np.float32)
    )
    truth = {"a": Truth(np.zeros((0, 4)), np.zeros(0, bool))}
    with caplog.at_level(logging.WARNING):
        assert Calibration()({"a": found}, truth).metrics == {"calibration/predictions": 2.0}
    assert "1 of 2 are not" in caplog.text
    assert Calibration()({}, truth).metrics == {"calibration/predictions": 0.0}


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="takes bins from 1 on, not 0"):
        Calibration(0)
