"""WIDER FACE's average precision against a plain loop over its definition, and known answers."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facezoo.errors import DataError
from facezoo.metrics.evaluate_predictions import evaluate_predictions
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.metrics.predictions import read_widerface_predictions
from facezoo.structures import Faces, Truth

KNOWN = {
    "retinaface_mnet025": ((0.90708, 0.88165, 0.73827), (0.89656, 0.87927, 0.75876)),
    "retinaface_r50": ((0.95482, 0.94047, 0.84430), (0.94897, 0.94103, 0.86508)),
    "yolo5face": ((0.94386, 0.92521, 0.82738), (0.93280, 0.91890, 0.84329)),
}
SUBSETS = ("easy", "medium", "hard")


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (areas[0] + areas[1] - width * height)


def plain_image(faces: Faces, boxes: np.ndarray, kept: np.ndarray) -> list[tuple[bool, int]]:
    """Whether each proposal counts, and how many kept faces are found so far."""
    found, steps = set(), []
    for box in faces.boxes.astype(np.float64):
        ious = [plain_iou(box, face) for face in boxes]
        best = int(np.argmax(ious))
        counts = True
        if ious[best] >= 0.5:
            if best in kept:
                found.add(best)
            else:
                counts = False
        steps.append((counts, len(found)))
    return steps


def plain_average_precision(
    predictions: dict[str, Faces], truth: dict[str, Truth], kept: list[np.ndarray]
) -> float:
    scores = np.concatenate([predictions[one].scores for one in truth]).astype(np.float64)
    low, high = scores.min(), scores.max()
    proposed, found = np.zeros(1000), np.zeros(1000)
    for (image_id, annotated), listed in zip(truth.items(), kept, strict=True):
        faces = predictions[image_id]
        if not len(annotated.boxes) or not len(faces):
            continue
        steps = plain_image(faces, annotated.boxes, listed)
        normalised = (faces.scores.astype(np.float64) - low) / (high - low)
        for t in range(1000):
            above = np.flatnonzero(normalised >= 1 - (t + 1) / 1000)
            if len(above):
                proposed[t] += sum(counts for counts, _ in steps[: above[-1] + 1])
                found[t] += steps[above[-1]][1]
    precision = [f / p if p else 0.0 for f, p in zip(found, proposed, strict=True)]
    recall = found / sum(map(len, kept))
    area, last = 0.0, 0.0
    for t in range(1000):
        area += (recall[t] - last) * max(precision[t:])
        last = recall[t]
    return area


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_definition(
    seed: int, random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    predictions, truth = random_set(seed)
    lists = write_official(tmp_path, truth, seed)
    metrics = WiderFaceAP(truth=tmp_path)(predictions, truth).metrics
    assert list(metrics) == [f"widerface/{subset}" for subset in SUBSETS]
    for subset in SUBSETS:
        expected = plain_average_precision(predictions, truth, lists[subset])
        assert 0 < expected < 1
        assert metrics[f"widerface/{subset}"] == pytest.approx(expected, abs=1e-12)


def test_a_part_is_a_set_of_its_own(
    random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    predictions, truth = random_set(3)
    lists = write_official(tmp_path, truth, 3)
    part = list(truth)[4:9]
    outside = predictions[next(iter(truth))]
    outside.scores[:] = 1  # would change the normalisation
    metrics = WiderFaceAP(truth=tmp_path)(predictions, {one: truth[one] for one in part}).metrics
    expected = plain_average_precision(
        predictions, {one: truth[one] for one in part}, lists["hard"][4:9]
    )
    assert metrics["widerface/hard"] == pytest.approx(expected, abs=1e-12)


def test_by_size_is_named_as_such_and_ignores_the_smaller(random_set: Callable) -> None:
    predictions, truth = random_set(4, ignored=0.3)
    result = WiderFaceAP()(predictions, truth)
    for subset, height in zip(SUBSETS, (50, 30, 10), strict=True):
        kept = [
            np.flatnonzero(~one.ignore & (one.boxes[:, 3] - one.boxes[:, 1] >= height))
            for one in truth.values()
        ]
        name = f"widerface_by_size/{subset}"
        expected = plain_average_precision(predictions, truth, kept)
        assert result.metrics[name] == pytest.approx(expected, abs=1e-12)
        assert result.curves[name].average_precision() == result.metrics[name]
    assert not any(name.startswith("widerface/") for name in result.metrics)


def test_order_of_proposals_does_not_matter(random_set: Callable) -> None:
    predictions, truth = random_set(5)
    backwards = {}
    for image_id, faces in predictions.items():
        # Distinct scores, as equal ones count in the order given.
        faces.scores[:] = np.linspace(0.9, 0.1, len(faces))
        backwards[image_id] = faces[::-1]
    assert WiderFaceAP()(backwards, truth).metrics == WiderFaceAP()(predictions, truth).metrics


def test_the_truth_scores_one(as_predictions: Callable) -> None:
    apart = np.arange(8.0)[:, None] * 200
    boxes = np.concatenate([apart, apart, apart + 60, apart + 60], axis=1)
    truth = {"a/1.jpg": Truth(boxes, np.arange(8) > 5), "a/2.jpg": Truth(boxes, np.arange(8) < 0)}
    metrics = WiderFaceAP()(as_predictions(truth), truth).metrics
    assert set(metrics.values()) == {1.0}


EMPTY = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
ONE = Faces(np.array([[0, 0, 60, 60]], np.float32), np.array([0.3], np.float32))
FACE = Truth(np.array([[0.0, 0, 60, 60]]), np.array([False]))
NO_FACE = Truth(np.zeros((0, 4)), np.zeros(0, dtype=bool))


@pytest.mark.parametrize(
    ("predictions", "truth", "expected"),
    [
        ({}, {}, 0.0),
        ({}, {"a": FACE}, 0.0),
        ({"a": EMPTY}, {"a": NO_FACE}, 0.0),
        ({"a": ONE}, {"a": NO_FACE}, 0.0),
        ({"a": ONE}, {"a": FACE}, 1.0),
        ({"a": ONE, "b": ONE}, {"a": FACE, "b": NO_FACE}, 1.0),  # b takes no part
        ({"a": ONE, "elsewhere": ONE}, {"a": FACE, "b": FACE}, 0.5),
        ({"a": ONE, "b": ONE}, {"a": FACE, "b": Truth(FACE.boxes, ~FACE.ignore)}, 1.0),
    ],
)
def test_edges(predictions: dict, truth: dict, expected: float) -> None:
    result = WiderFaceAP()(predictions, truth)
    assert set(result.metrics.values()) == {expected}
    assert all(np.isfinite(curve.precision).all() for curve in result.curves.values())


def test_unknown_image(random_set: Callable, write_official: Callable, tmp_path: Path) -> None:
    predictions, truth = random_set(0)
    write_official(tmp_path, truth, 0)
    with pytest.raises(DataError, match=r"has no image 'b/1\.jpg' \(1 of 13"):
        WiderFaceAP(truth=tmp_path)(predictions, {**truth, "b/1.jpg": NO_FACE})


def test_unknown_image_is_found_without_predictions(
    random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    _, truth = random_set(0)
    write_official(tmp_path, truth, 0)
    evaluator = WiderFaceAP(truth=tmp_path)
    evaluator.check(list(truth))
    with pytest.raises(DataError, match=r"has no image 'b/1\.jpg' \(1 of 13"):
        evaluator.check([*truth, "b/1.jpg"])
    WiderFaceAP().check(["b/1.jpg"])


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "wider_face_val.mat").touch()
    with pytest.raises(DataError, match=r"lacks wider_easy_val\.mat, wider_medium_val\.mat"):
        WiderFaceAP(truth=tmp_path)


@pytest.mark.parametrize("length", [0, 60, 130, 400])
def test_broken_file(
    length: int, random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    predictions, truth = random_set(0)
    write_official(tmp_path, truth, 0)
    path = tmp_path / "wider_easy_val.mat"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"wider_easy_val\.mat cannot be read"):
        WiderFaceAP(truth=tmp_path)(predictions, truth)


def test_files_of_different_sets(
    random_set: Callable, write_official: Callable, tmp_path: Path
) -> None:
    predictions, truth = random_set(0)
    write_official(tmp_path / "short", dict(list(truth.items())[:5]), 0)
    write_official(tmp_path, truth, 0)
    (tmp_path / "short" / "wider_hard_val.mat").rename(tmp_path / "wider_hard_val.mat")
    with pytest.raises(DataError, match="is about 5 images"):
        WiderFaceAP(truth=tmp_path)(predictions, truth)
    write_official(tmp_path, {one: NO_FACE for one in truth}, 0)
    write_official(tmp_path / "other", truth, 0)
    (tmp_path / "other" / "wider_hard_val.mat").rename(tmp_path / "wider_hard_val.mat")
    with pytest.raises(DataError, match="lists a face of"):
        WiderFaceAP(truth=tmp_path)(predictions, truth)


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str, shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "predictions" / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    truth = shared_data / "eval_tools" / "ground_truth"
    mini = (shared_data / "widerface_mini" / "mini_val.txt").read_text().split()
    for names, expected in zip((None, mini), KNOWN[name], strict=True):
        measured = evaluate_predictions(tmp_path / name, truth=truth, names=names)
        assert [measured[f"widerface/{subset}"] for subset in SUBSETS] == pytest.approx(
            expected, abs=6e-6
        )
        assert measured["images"] == (3226 if names is None else 400)
        assert measured["missing_predictions"] == 0


@pytest.mark.slow
def test_what_the_rule_makes_of_the_official_truth(
    shared_data: Path, as_predictions: Callable
) -> None:
    evaluator = WiderFaceAP(truth=shared_data / "eval_tools" / "ground_truth")
    truth = {
        image_id: Truth(boxes, np.zeros(len(boxes), dtype=bool))
        for image_id, boxes in evaluator.official.boxes.items()
    }
    result = evaluator(as_predictions(truth), truth)
    # Boxes that cover another but for a pixel take its proposal.
    assert result.metrics["widerface/easy"] == pytest.approx(7211 / 7212, abs=1e-12)
    assert result.curves["widerface/hard"].recall[-1] == pytest.approx(31956 / 31958, abs=1e-12)
    mini = (shared_data / "widerface_mini" / "mini_val.txt").read_text().split()
    part = {image_id: truth[image_id] for image_id in mini}
    easy = evaluator(as_predictions(part), part).metrics["widerface/easy"]
    assert easy == pytest.approx(967 / 968, abs=1e-12)


@pytest.mark.slow
def test_known_set_against_the_definition(shared_data: Path, tmp_path: Path) -> None:
    with tarfile.open(shared_data / "predictions" / "yolo5face.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    evaluator = WiderFaceAP(truth=shared_data / "eval_tools" / "ground_truth")
    ids = (shared_data / "widerface_mini" / "mini_val.txt").read_text().split()[::25]
    predictions = read_widerface_predictions(tmp_path / "yolo5face", ids)
    official = evaluator.official
    truth = {
        one: Truth(official.boxes[one], np.zeros(len(official.boxes[one]), bool)) for one in ids
    }
    measured = evaluator(predictions, truth).metrics
    for subset in SUBSETS:
        kept = [np.flatnonzero(official.counted[subset][one]) for one in ids]
        expected = plain_average_precision(predictions, truth, kept)
        assert measured[f"widerface/{subset}"] == pytest.approx(expected, abs=1e-12)
