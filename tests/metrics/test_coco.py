"""COCO's average precision against pycocotools used as its authors do."""

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from facezoo.errors import ConfigError
from facezoo.metrics.evaluators import CocoAP
from facezoo.metrics.evaluators import coco_ap as coco
from facezoo.structures import Faces, Truth

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def summarize(predictions: dict[str, Faces], truth: dict[str, Truth]) -> list[float]:
    annotations, results = [], []
    for i, (image_id, annotated) in enumerate(truth.items()):
        for (x1, y1, x2, y2), ignore in zip(annotated.boxes, annotated.ignore, strict=True):
            bbox, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
            annotations.append({"image_id": i, "bbox": bbox, "area": area, "iscrowd": int(ignore)})
        faces = predictions[image_id]
        for (x1, y1, x2, y2), score in zip(faces.boxes.tolist(), faces.scores, strict=True):
            results.append({"image_id": i, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score})
    for number, annotation in enumerate(annotations, 1):
        annotation |= {"id": number, "category_id": 1}
    for result in results:
        result["category_id"] = 1
    with contextlib.redirect_stdout(io.StringIO()):
        table = COCO()
        table.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(truth))],
            "categories": [{"id": 1}],
            "annotations": annotations,
        }
        table.createIndex()
        run = COCOeval(table, table.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools(seed: int, random_set: Callable, capsys: pytest.CaptureFixture) -> None:
    predictions, truth = random_set(seed)
    stats = summarize(predictions, truth)
    metrics = CocoAP(max_dets=100)(predictions, truth).metrics
    assert [metrics[f"coco/{name}"] for name in NAMES] == pytest.approx(stats[:6], abs=1e-12)
    assert metrics["coco/ar"] == pytest.approx(stats[8], abs=1e-12)
    assert 0 < metrics["coco/ap"] < 1
    assert capsys.readouterr().out == ""


def test_predictions_that_overlap_too_little_count_as_pycocotools_counts_them() -> None:
    """False alarms of every size, far from the faces or near them, and crowds; bit for bit."""
    rng = np.random.default_rng(1)
    predictions, truth = {}, {}
    for i in range(12):
        corner, size = rng.uniform(0, 600, (8, 2)), rng.uniform(4, 150, (8, 2))
        boxes = np.concatenate([corner, corner + size], axis=1)
        truth[str(i)] = Truth(boxes[: i % 5], rng.random(i % 5) < 0.3)
        near = boxes[rng.integers(0, 8, 30)] + rng.normal(0, 8, (30, 4))
        corner, size = rng.uniform(0, 600, (80, 2)), rng.exponential(60, (80, 2)) + 1
        found = np.concatenate([near, np.concatenate([corner, corner + size], axis=1)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = rng.choice([0.1, 0.3, 0.5, 0.9], len(found)).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        predictions[str(i)] = Faces(found[order].astype(np.float32), scores[order])
    stats = summarize(predictions, truth)
    metrics = CocoAP(max_dets=100)(predictions, truth).metrics
    assert [metrics[f"coco/{name}"] for name in NAMES] == [round(one, 12) for one in stats[:6]]
    assert 0 < metrics["coco/ap"] < 1 and min(stats[3:6]) > 0


def test_crowd_needs_a_higher_limit(
    as_predictions: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    left, top = np.meshgrid(np.arange(15.0) * 30, np.arange(10.0) * 30)
    corners = np.stack([left.ravel(), top.ravel()], axis=1)
    boxes = np.concatenate([corners, corners + 20], axis=1)
    truth = {"a": Truth(boxes, np.zeros(150, dtype=bool))}
    metrics = CocoAP()(as_predictions(truth), truth).metrics
    assert metrics["coco/ap"] == metrics["coco/ap_small"] == metrics["coco/ar"] == 1.0
    assert metrics["coco/max_dets"] == 2000
    assert not caplog.records
    cut = CocoAP(max_dets=100)(as_predictions(truth), truth).metrics
    assert cut["coco/ar"] == pytest.approx(100 / 150)
    assert "best 100 predictions of an image; 1 of 1 images have more" in caplog.text


def test_faces_without_area_or_to_be_ignored_are_not_missed() -> None:
    boxes = np.array([[0.0, 0, 40, 40], [50, 50, 50, 90], [60, 60, 40, 90], [100, 100, 150, 150]])
    truth = {"a": Truth(boxes, np.array([False, False, False, True]))}
    found = boxes[[3, 3, 0]].astype(np.float32)
    faces = Faces(found, np.array([0.9, 0.8, 0.7], np.float32))
    metrics = CocoAP()({"a": faces}, truth).metrics
    assert metrics["coco/ap"] == metrics["coco/ar"] == 1.0


def test_nothing() -> None:
    no_face = Truth(np.zeros((0, 4)), np.zeros(0, dtype=bool))
    for truth in ({}, {"a": no_face}):
        metrics = CocoAP()({}, truth).metrics
        assert metrics.pop("coco/max_dets") == 2000
        assert set(metrics.values()) == {-1.0}
    face = Truth(np.array([[0.0, 0, 40, 40]]), np.array([False]))
    assert CocoAP()({}, {"a": face}).metrics["coco/ap"] == 0.0


def test_limit_has_to_be_positive() -> None:
    with pytest.raises(ConfigError, match="max_dets from 1 on, not 0"):
        CocoAP(max_dets=0)


def test_faster_library_gives_the_same(
    random_set: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, which is optional")
    predictions, truth = random_set(5)
    faster = CocoAP()(predictions, truth).metrics
    monkeypatch.setattr(coco, "_library", lambda: (COCO, COCOeval))
    assert CocoAP()(predictions, truth).metrics == pytest.approx(faster, abs=1e-12)
