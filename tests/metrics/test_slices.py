"""Slices of a set against loops over their definition."""

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facezoo.data.datasets.wider_face import read_widerface_truth
from facezoo.errors import ConfigError
from facezoo.metrics.evaluate_predictions import read_predictions
from facezoo.metrics.evaluators import OperatingPoint, RecallBySize, Slices
from facezoo.structures import Faces, Truth

EDGES = (0, 20, 40)
NAMES = ("0-20", "20-40", "40+")
VALUES = {
    "blur": (0, ["clear", "normal", "heavy"]),
    "expression": (1, ["typical", "exaggerate"]),
    "illumination": (2, ["normal", "extreme"]),
    "occlusion": (4, ["none", "partial", "heavy"]),
    "pose": (5, ["typical", "atypical"]),
}


def with_attributes(truth: Mapping[str, Truth], seed: int, known: float = 1) -> dict[str, Truth]:
    rng = np.random.default_rng(seed)
    result = {}
    for image_id, one in truth.items():
        values = rng.integers(0, (3, 2, 2, 2, 3, 2), (len(one.boxes), 6))
        values[rng.random(len(values)) >= known] = -1
        result[image_id] = replace(one, attributes=values.astype(np.int8))
    return result


def bucket(height: float) -> int:
    return max(i for i, low in enumerate(EDGES) if height >= low)


def plain_ap(rows: list[tuple[float, bool]], faces: int) -> float:
    """Area under the falling envelope of precision, one threshold for each score that occurs."""
    points = []
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        shown = [hit for score, hit in rows if score >= threshold]
        points.append((sum(shown) / faces, sum(shown) / len(shown)))
    area, last = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - last) * max(precision for _, precision in points[i:])
        last = recall
    return area


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("score_thresh", [0.0, 0.6])
def test_recall_equals_the_definition(
    seed: int, score_thresh: float, random_set: Callable, plain_match: Callable
) -> None:
    predictions, truth = random_set(seed)
    truth = with_attributes(truth, seed)
    metrics = Slices(EDGES, score_thresh=score_thresh)(predictions, truth).metrics
    faces: dict[str, list[bool]] = {}
    for image_id, one in truth.items():
        found = predictions[image_id]
        taken = {
            face
            for (face, _), score in zip(plain_match(found, one), found.scores, strict=True)
            if score >= score_thresh
        }
        for g in np.flatnonzero(~one.ignore).tolist():
            height = NAMES[bucket(one.boxes[g, 3] - one.boxes[g, 1])]
            names = ["all", f"height/{height}", f"event/{image_id.split('/')[0]}"]
            names += [f"{key}/{v[one.attributes[g, i]]}" for key, (i, v) in VALUES.items()]
            for name in names:
                faces.setdefault(f"slices/{name}", []).append(g in taken)
    for name, found in faces.items():
        assert metrics[f"{name}/recall"] == pytest.approx(np.mean(found), abs=1e-12)
        assert metrics[f"{name}_faces"] == len(found)
    assert {name for name in metrics if name.endswith("/recall")} == {f"{n}/recall" for n in faces}
    assert 0 < metrics["slices/all/recall"] < 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_precision_equals_the_definition(
    seed: int, random_set: Callable, plain_match: Callable
) -> None:
    predictions, truth = random_set(seed)
    metrics = Slices(EDGES)(predictions, truth).metrics
    rows: dict[str, list[tuple[float, bool]]] = {name: [] for name in ("all", *NAMES)}
    for image_id, one in truth.items():
        found = predictions[image_id]
        for p, (face, absorbed) in enumerate(plain_match(found, one)):
            if absorbed:
                continue
            box = one.boxes[face] if face >= 0 else found.boxes[p].astype(np.float64)
            row = (float(found.scores[p]), face >= 0)
            rows["all"].append(row)
            rows[NAMES[bucket(box[3] - box[1])]].append(row)
    for name, of_slice in rows.items():
        place = "slices/all" if name == "all" else f"slices/height/{name}"
        expected = plain_ap(of_slice, metrics[f"{place}_faces"])
        assert metrics[f"{place}/ap"] == pytest.approx(expected, abs=1e-12)
        assert 0 < expected < 1


def check_that_slices_add_up(metrics: dict[str, float]) -> list[str]:
    """Recalls weighted by faces are the whole recall, attribute by attribute; returns those."""
    counts = {name: n for name, n in metrics.items() if name.endswith("_faces")}
    attributes = sorted({name.split("/")[1] for name in counts if name.count("/") == 2})
    for attribute in attributes:
        mine = {name: n for name, n in counts.items() if name.startswith(f"slices/{attribute}/")}
        hits = sum(n * metrics[name.replace("_faces", "/recall")] for name, n in mine.items() if n)
        assert sum(mine.values()) == metrics["slices/all_faces"]
        assert hits / metrics["slices/all_faces"] == pytest.approx(metrics["slices/all/recall"])
    return attributes


def test_slices_of_an_attribute_add_up_to_the_whole(random_set: Callable) -> None:
    predictions, truth = random_set(5, images=20)
    metrics = Slices()(predictions, with_attributes(truth, 5, known=0.7)).metrics
    attributes = check_that_slices_add_up(metrics)
    assert attributes == sorted([*VALUES, "event", "height"])
    assert 0 < metrics["slices/blur/unknown_faces"] < metrics["slices/all_faces"]


def test_agrees_with_the_other_evaluators(random_set: Callable) -> None:
    predictions, truth = random_set(6, images=20)
    metrics = Slices(score_thresh=0.4)(predictions, truth).metrics
    whole = OperatingPoint(0.4)(predictions, truth).metrics["operating_point/recall"]
    assert metrics["slices/all/recall"] == pytest.approx(whole)
    for name, value in RecallBySize(score_thresh=0.4)(predictions, truth).metrics.items():
        bucket_name = name.removeprefix("recall_by_size/")
        place = f"slices/height/{bucket_name}"
        assert metrics[place if name.endswith("_faces") else f"{place}/recall"] == value


def test_a_better_face_of_another_slice_is_no_false_alarm() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 0, 80, 30]], np.float64)
    truth = {"a": Truth(boxes, np.zeros(2, bool))}
    # The best prediction finds the high face, the next is a low false alarm, the last a low hit.
    found = np.array([[50, 0, 80, 30], [200, 0, 210, 10], [0, 0, 10, 10]], np.float32)
    predictions = {"a": Faces(found, np.array([0.9, 0.8, 0.7], np.float32))}
    metrics = Slices(EDGES)(predictions, truth).metrics
    assert metrics["slices/height/0-20/ap"] == pytest.approx(0.5)
    assert metrics["slices/height/20-40/ap"] == 1
    assert metrics["slices/all/ap"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_what_is_unknown_has_no_slices() -> None:
    truth = {"a": Truth(np.array([[0, 0, 10, 10.0]]), np.zeros(1, bool))}
    names = set(Slices([0])({}, truth).metrics)
    whole = {f"slices/{one}" for one in ("all/recall", "all/ap", "all_faces")}
    assert names == whole | {f"slices/height/0+{end}" for end in ("/recall", "/ap", "_faces")}
    assert set(Slices([0])({}, {}).metrics.values()) == {0.0}
    attributes = np.full((1, 6), 9, np.int8)  # values that WIDER FACE does not have
    truth = {"a": replace(truth["a"], attributes=attributes)}
    assert set(Slices([0])({}, truth).metrics) == names


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"edges": [8, 16]}, "Slices takes edges that rise from 0"),
        ({"iou": 1.5}, "Slices takes iou from 0 to 1"),
        ({"score_thresh": -1}, "Slices takes score_thresh from 0 to 1"),
    ],
)
def test_bad_arguments(arguments: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Slices(**arguments)


@pytest.mark.slow
def test_a_known_set(shared_data: Path, tmp_path: Path, plain_match: Callable) -> None:
    with tarfile.open(shared_data / "predictions" / "yolo5face.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    truth = read_widerface_truth(shared_data / "widerface_mini")
    predictions = read_predictions(tmp_path / "yolo5face", list(truth))
    metrics = Slices()(predictions, truth).metrics
    assert len([name for name in metrics if name.startswith("slices/event/")]) == 2 * 61
    check_that_slices_add_up(metrics)
    heavy = []
    for image_id, one in truth.items():
        taken = {face for face, _ in plain_match(predictions[image_id], one)}
        assert one.attributes is not None
        counts = ~one.ignore & (one.attributes[:, 0] == 2)
        heavy += [g in taken for g in np.flatnonzero(counts).tolist()]
    assert metrics["slices/blur/heavy_faces"] == len(heavy)
    assert metrics["slices/blur/heavy/recall"] == pytest.approx(np.mean(heavy))
