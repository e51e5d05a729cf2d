"""Two folders of predictions side by side."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facezoo.errors import DataError
from facezoo.metrics.compare import compare_predictions, predictions_folder, write_comparison
from facezoo.metrics.evaluate_predictions import evaluate_predictions
from facezoo.metrics.evaluators import (
    Calibration,
    Duplicates,
    LandmarkError,
    OperatingPoint,
    Slices,
    WiderFaceAP,
)
from facezoo.metrics.predictions import write_widerface_predictions
from facezoo.structures import Faces, Truth


@pytest.fixture
def sets(
    tmp_path: Path, random_set: Callable, write_official: Callable
) -> tuple[dict[str, Faces], dict[str, Faces], dict[str, Truth]]:
    """Written to a, b and eval_tools/ground_truth; b lacks the worse half of a's predictions."""
    predictions, truth = random_set(8)
    better = {key: faces[: len(faces) // 2] for key, faces in predictions.items()}
    write_widerface_predictions(tmp_path / "a", predictions)
    write_widerface_predictions(tmp_path / "b", better)
    write_official(tmp_path / "eval_tools/ground_truth", truth, 8)
    return predictions, better, truth


def test_official_numbers_with_what_lies_beside(sets: tuple, tmp_path: Path) -> None:
    predictions, better, truth = sets
    comparison = compare_predictions(tmp_path / "a", tmp_path / "b", resamples=20)
    official = WiderFaceAP(tmp_path / "eval_tools/ground_truth")
    a, b = (official(one, truth).metrics for one in (predictions, better))
    assert list(comparison.differences) == list(a)
    for name, one in comparison.differences.items():
        assert (one.a, one.b) == pytest.approx((a[name], b[name]), abs=1e-6)
    assert comparison.truth == tmp_path / "eval_tools/ground_truth"


def test_slices_and_mistakes(sets: tuple, tmp_path: Path, plain_match: Callable) -> None:
    predictions, better, truth = sets
    comparison = compare_predictions(tmp_path / "a", tmp_path / "b", annotated=truth, resamples=20)
    expected = Slices()(better, truth).metrics
    for name, one in comparison.differences.items():
        if name.startswith("slices/"):
            assert one.b == pytest.approx(expected[name], abs=1e-6)
    assert "widerface_by_size/hard" in comparison.differences and comparison.truth is None
    mistakes = {one.image_id: (one.a, one.b) for one in comparison.mistakes}
    for side, found in enumerate((predictions, better)):
        best = OperatingPoint()(found, truth).metrics["operating_point/best_threshold"]
        for image_id, one in truth.items():
            shown = found[image_id][found[image_id].scores >= np.float32(best)]
            outcome = plain_match(shown, one)
            hits = sum(face >= 0 for face, _ in outcome)
            alarms = sum(face < 0 and not absorbed for face, absorbed in outcome)
            assert mistakes[image_id][side] == alarms + int((~one.ignore).sum()) - hits
    gaps = [abs(one.a - one.b) for one in comparison.mistakes]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > 0 and len(gaps) == len(truth)


def test_a_list_is_a_set_of_its_own(sets: tuple, tmp_path: Path) -> None:
    names = list(sets[2])[2:7]
    comparison = compare_predictions(tmp_path / "a", tmp_path / "b", names=names, resamples=5)
    assert {one.image_id for one in comparison.mistakes} == set(names)
    with pytest.raises(DataError, match=r"names 'x/y\.jpg', which .*ground_truth does not have"):
        compare_predictions(tmp_path / "a", tmp_path / "b", names=[*names, "x/y.jpg"])


def test_truths_of_different_images(sets: tuple, tmp_path: Path) -> None:
    one_more = {**sets[2], "x/y.jpg": Truth(np.zeros((0, 4)), np.zeros(0, bool))}
    folder = tmp_path / "eval_tools/ground_truth"
    sentence = (
        r"The truth names 'x/y\.jpg', which .* \(1 of 13 names are unknown\); list the images"
    )
    with pytest.raises(DataError, match=sentence):
        evaluate_predictions(tmp_path / "a", truth=folder, annotated=one_more)
    part = {key: sets[2][key] for key in list(sets[2])[:5]}
    with pytest.raises(DataError, match="which the annotation with the attributes does not have"):
        compare_predictions(tmp_path / "a", tmp_path / "b", names=list(sets[2]), annotated=part)


def test_one_folder_with_slices(sets: tuple, tmp_path: Path) -> None:
    predictions, _, truth = sets
    part = {key: truth[key] for key in list(truth)[2:9]}
    measured = evaluate_predictions(tmp_path / "a", annotated=part)
    plain = evaluate_predictions(tmp_path / "a", names=list(part))
    assert measured["images"] == 7 and {key: measured[key] for key in plain} == plain
    for evaluator in (Slices(), LandmarkError(), Calibration(), Duplicates()):
        for name, value in evaluator(predictions, part).metrics.items():
            assert measured[name] == pytest.approx(value, abs=1e-6)


def test_a_folder_that_eval_wrote(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    assert predictions_folder(tmp_path) == tmp_path
    (tmp_path / "metrics.json").touch()
    assert predictions_folder(tmp_path) == tmp_path / "predictions"
    with pytest.raises(DataError, match="no folder of predictions"):
        predictions_folder(tmp_path / "none")


def test_files(sets: tuple, tmp_path: Path) -> None:
    comparison = compare_predictions(tmp_path / "a", tmp_path / "b", annotated=sets[2], resamples=5)
    write_comparison(tmp_path / "out", comparison)
    with (tmp_path / "out/differences.csv").open(newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    one = comparison.differences["slices/all/ap"]
    row = rows["slices/all/ap"]
    assert float(row["difference"]) == pytest.approx(one.estimate, rel=1e-5)
    assert row["verdict"] == one.verdict and list(rows) == list(comparison.differences)
    numbers = comparison.flat()
    assert numbers["slices/all/ap/low"] == one.low and numbers["images"] == len(sets[2])
    assert (tmp_path / "out/differences.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "out/images.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["image"] == comparison.mistakes[0].image_id
