"""The paired bootstrap against evaluating each resample anew, and on simulated detectors."""

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from facezoo.data.datasets.wider_face import read_widerface_truth
from facezoo.errors import ConfigError, DataError
from facezoo.metrics import bootstrap
from facezoo.metrics.bootstrap import RecallTally, Tally, difference_of_ap
from facezoo.metrics.evaluate_predictions import read_predictions
from facezoo.metrics.evaluators import Slices, WiderFaceAP
from facezoo.structures import Faces, Truth

Set = tuple[dict[str, Faces], dict[str, Truth]]


def repeated(predictions: Mapping[str, Faces], truth: Mapping[str, Truth], times: list[int]) -> Set:
    """A set that has each image so many times, under names of their own."""
    found, annotated = {}, {}
    for image_id, count in zip(truth, times, strict=True):
        for k in range(count):
            name = f"{image_id}_{k}.jpg"
            found[name], annotated[name] = predictions[image_id], truth[image_id]
    return found, annotated


def worse(predictions: Mapping[str, Faces], seed: int) -> dict[str, Faces]:
    """The same predictions with other scores, and a fifth of them gone."""
    rng = np.random.default_rng(seed)
    result = {}
    for image_id, faces in predictions.items():
        kept = faces[rng.random(len(faces)) > 0.2]
        scores = np.sort(rng.integers(2, 100, len(kept)) / 100)[::-1].astype(np.float32)
        result[image_id] = Faces(kept.boxes, scores)
    return result


@pytest.mark.parametrize("seed", [0, 1])
def test_tallies_are_the_evaluators_own_numbers(
    seed: int, random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    predictions, truth = random_set(seed)
    write_official(tmp_path, truth, seed)
    for evaluator in (WiderFaceAP(), WiderFaceAP(tmp_path), Slices()):
        metrics = evaluator(predictions, truth).metrics
        tallies = evaluator.tallies(predictions, truth)
        for name, tally in tallies.items():
            assert len(tally.faces) == len(truth)
            assert tally.value() == pytest.approx(metrics.get(name, np.nan), abs=1e-12, nan_ok=True)
        assert set(tallies) >= {name for name in metrics if not name.endswith("_faces")}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_are_repeated_images(seed: int, random_set: Callable) -> None:
    predictions, truth = random_set(seed)
    rng = np.random.default_rng(seed)
    for evaluator, fewest in ((Slices((0, 20, 40)), 0), (WiderFaceAP(), 1)):
        # WIDER FACE's scores stay normalised over the whole set, so no image may be missing there.
        times = rng.integers(fewest, 4, (5, len(truth)))
        tallies = evaluator.tallies(predictions, truth)
        values = {name: tally.values(times.astype(float)) for name, tally in tallies.items()}
        for row, counts in enumerate(times.tolist()):
            metrics = evaluator(*repeated(predictions, truth, counts)).metrics
            for name in tallies:
                expected = metrics.get(name, np.nan)
                assert values[name][row] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_interval_is_that_of_resamples_evaluated_anew(random_set: Callable) -> None:
    predictions, truth = random_set(3)
    other, images = worse(predictions, 3), len(truth)
    measured = difference_of_ap(predictions, other, truth, Slices(), resamples=40, seed=5)
    rng = np.random.default_rng(5)
    gains = []
    for _ in range(40):
        times = np.bincount(rng.integers(0, images, images), minlength=images).tolist()
        a, b = (
            Slices()(*repeated(one, truth, times)).metrics["slices/all/ap"]
            for one in (predictions, other)
        )
        gains.append(b - a)
    one = measured["slices/all/ap"]
    assert (one.low, one.high) == pytest.approx(tuple(np.percentile(gains, [2.5, 97.5])), abs=1e-12)
    assert one.share_b_better == np.mean(np.array(gains) > 0)
    assert one.a == pytest.approx(Slices()(predictions, truth).metrics["slices/all/ap"])
    assert one.b == pytest.approx(Slices()(other, truth).metrics["slices/all/ap"])
    assert one.estimate == one.b - one.a


def test_identical_predictions_do_not_differ(random_set: Callable) -> None:
    predictions, truth = random_set(4)
    for evaluator in (WiderFaceAP(), Slices()):
        differences = difference_of_ap(predictions, predictions, truth, evaluator, resamples=50)
        assert len(differences) >= 3
        for one in differences.values():
            assert one.estimate == one.low == one.high == one.share_b_better == 0
            assert one.verdict == "within noise"


def test_sides_are_exchangeable(random_set: Callable) -> None:
    predictions, truth = random_set(5)
    other = worse(predictions, 5)
    there = difference_of_ap(predictions, other, truth, WiderFaceAP(), 60)
    back = difference_of_ap(other, predictions, truth, WiderFaceAP(), 60)
    for name, one in there.items():
        assert (one.low, one.high) == pytest.approx((-back[name].high, -back[name].low), abs=1e-12)


def test_draws_follow_from_the_seed_alone(
    random_set: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, truth = random_set(6)
    other = worse(predictions, 6)

    def compare(seed: int) -> dict[str, bootstrap.Difference]:
        return difference_of_ap(predictions, other, truth, WiderFaceAP(), 50, seed)

    first = compare(0)
    assert compare(0) == first and compare(1) != first
    monkeypatch.setattr(bootstrap, "SETS_AT_ONCE", 7)
    assert compare(0) == first


@dataclass
class Hits:
    """A resampler for images of eight faces, whose predictions are as many as were found."""

    def tallies(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> dict[str, Tally]:
        found = np.array([len(predictions[image_id]) for image_id in truth])
        return {"recall": RecallTally(found, np.full(len(truth), 8))}


def test_interval_covers_a_known_difference() -> None:
    """Detectors that find 60 % and 70 % of the faces, in photographs some of which are hard."""
    rng = np.random.default_rng(0)
    truth = {str(i): Truth(np.zeros((0, 4)), np.zeros(0, bool)) for i in range(80)}
    covered = beyond = 0
    for _ in range(300):
        hard = rng.uniform(-0.25, 0.25, 80)  # both find less in a hard photograph
        a, b = (
            {
                str(i): Faces(np.zeros((n, 4), np.float32), np.ones(n, np.float32))
                for i, n in enumerate(rng.binomial(8, share + hard))
            }
            for share in (0.6, 0.7)
        )
        one = difference_of_ap(a, b, truth, Hits(), resamples=200)["recall"]
        covered += one.low <= 0.1 <= one.high
        beyond += one.verdict == "B is better, beyond noise"
    assert 0.90 < covered / 300 < 0.98
    assert beyond / 300 > 0.9


def test_a_number_without_faces_is_left_out(random_set: Callable) -> None:
    predictions, truth = random_set(7)
    differences = difference_of_ap(predictions, predictions, truth, Slices((0, 10**6)), 5)
    assert "slices/height/0-1000000/ap" in differences
    assert not [name for name in differences if "1000000+" in name]


def test_bad_requests(random_set: Callable) -> None:
    predictions, truth = random_set(0)
    with pytest.raises(ConfigError, match="takes resamples from 1 on, not 0"):
        difference_of_ap(predictions, predictions, truth, Slices(), resamples=0)
    with pytest.raises(DataError, match="There is no image to compare"):
        difference_of_ap(predictions, predictions, {}, Slices())


@pytest.mark.slow
def test_known_sets(shared_data: Path, tmp_path: Path) -> None:
    truth = read_widerface_truth(shared_data / "widerface_mini")
    sets = []
    for name in ("retinaface_mnet025", "retinaface_r50"):
        with tarfile.open(shared_data / "predictions" / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path, filter="data")
        sets.append(read_predictions(tmp_path / name, list(truth)))
    official = WiderFaceAP(shared_data / "eval_tools" / "ground_truth")
    hard = difference_of_ap(*sets, truth, official)["widerface/hard"]
    assert (hard.a, hard.b) == pytest.approx((0.75876, 0.86508), abs=6e-6)
    assert 0 < hard.low < hard.estimate < hard.high and hard.share_b_better == 1
