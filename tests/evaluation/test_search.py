"""Looking for faces: in order, timed, and with no more memory than the faces themselves need."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facezoo.builder import build_model
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.evaluation.judge import Predictions, find_faces, join_predictions, judge
from facezoo.evaluation.report import MOST_CROPS, write_report
from facezoo.inference import photographs
from facezoo.inference.detector import Detector
from facezoo.inference.photographs import read_ahead
from facezoo.metrics.evaluators import OperatingPoint, RecallBySize, WiderFaceAP
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Faces, Sample, Truth

SIDE = 256


class Grey(FaceDataset):
    """Photographs of one grey each, made anew whenever they are read, with two faces."""

    num_landmarks = 5

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        nothing = np.zeros((0, 4), np.float32)
        return Sample(
            image=np.full((SIDE, SIDE + index % 3, 3), index % 256, np.uint8),
            boxes=nothing,
            landmarks=np.zeros((0, 5, 2), np.float32),
            ignore=np.zeros(0, bool),
            labels=np.zeros(0, np.int64),
            image_id=self.image_id(index),
        )

    def truth(self, index: int) -> Truth:
        boxes = np.array([[10.0, 10, 60, 60 + index % 7], [100, 100, 150, 150]])
        return Truth(boxes, np.zeros(2, bool))

    def image_id(self, index: int) -> str:
        return f"{index}.jpg"


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Detector:
    """Finds one of the two faces of each photograph and one that is none; the score is the grey."""

    def predict(self: FaceDetector, images: torch.Tensor, *_: Any) -> list[Faces]:
        boxes = np.array([[100, 100, 150, 150], [200, 200, 240, 240]], np.float32)
        return [Faces(boxes, np.float32([float(one[0, 0, 0]) / 255] * 2)) for one in images]

    monkeypatch.setattr(FaceDetector, "predict", predict)
    return Detector(build_model("tiny_test"), batch_size=4)


def test_faces_belong_to_their_photographs(detector: Detector) -> None:
    dataset = Grey(10)
    found = find_faces(detector, dataset, [[0, 1, 2, 3], [8, 9]])
    assert list(found.faces) == [f"{i}.jpg" for i in (0, 1, 2, 3, 8, 9)]
    for i in (0, 1, 2, 3, 8, 9):
        assert found.faces[f"{i}.jpg"].scores.tolist() == [np.float32(i / 255)] * 2
    assert found.from_cache == 0
    assert found.sizes_hw == [(SIDE, SIDE + i % 3) for i in (0, 1, 2, 3, 8, 9)]


def test_times_are_those_of_a_clock(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only reading (2 s a photograph) and finding (12 s a batch) move."""
    now = [0.0]
    read, find = Grey.__getitem__, Detector.__call__

    def slow_read(self: Grey, index: int) -> Sample:
        now[0] += 2
        return read(self, index)

    def slow_find(self: Detector, images: Any) -> list[Faces]:
        now[0] += 12
        return find(self, images)

    monkeypatch.setattr(photographs, "perf_counter", lambda: now[0])
    monkeypatch.setattr(photographs, "read_ahead", lambda load, items: map(load, items))
    monkeypatch.setattr(Grey, "__getitem__", slow_read)
    monkeypatch.setattr(Detector, "__call__", slow_find)
    found = find_faces(detector, Grey(7), [[0, 1, 2, 3], [4, 5, 6]])
    read, detect, whole = np.array(found.seconds).T.tolist()
    assert read == [2.0] * 7
    assert detect == [3.0] * 4 + [4.0] * 3
    assert whole == [5.0] * 4 + [6.0] * 3
    metrics = found.time_metrics()
    assert metrics["time/read_ms"] == metrics["time/read_ms_mean"] == 2000
    assert metrics["time/detect_ms"] == 3000 and metrics["time/whole_ms"] == 5000
    assert metrics["time/whole_ms_mean"] == pytest.approx(1000 * now[0] / 7)


def test_times_are_described_and_left_out_where_a_cache_helped(detector: Detector) -> None:
    found = find_faces(detector, Grey(3), [[0, 1, 2]])
    described = found.describe_times(detector.device_name)
    assert described["device"] == "cpu" and described["threads"] == torch.get_num_threads()
    assert described["image_sizes"] == "256 x 256 to 258 x 256 px, median 0.07 megapixels"
    helped = Predictions(found.faces, found.seconds, found.sizes_hw, from_cache=1)
    for one in (helped, Predictions({})):
        assert one.time_metrics() == one.describe_times("cpu") == {}


def test_predictions_of_several_processes_are_one(detector: Detector) -> None:
    parts = [find_faces(detector, Grey(5), one) for one in ([[0, 1], [4]], [[2, 3]])]
    whole = join_predictions([*parts, Predictions({})])
    assert list(whole.faces) == [f"{i}.jpg" for i in (0, 1, 4, 2, 3)]
    assert len(whole.seconds) == len(whole.sizes_hw) == 5 and whole.from_cache == 0


def test_reading_ahead_keeps_the_order_and_holds_a_few() -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item * item

    results = read_ahead(load, range(40))
    assert next(results) == 0
    assert len(started) <= photographs.AHEAD + 1
    assert [*results] == [i * i for i in range(1, 40)]


@pytest.mark.slow
def test_memory_grows_with_faces_and_not_with_photographs(
    detector: Detector, tmp_path: Path
) -> None:
    """Everything that an evaluation does; each photograph has 197 kB, its two faces some bytes."""

    def peak(count: int) -> int:
        dataset = Grey(count)
        tracemalloc.start()
        results = judge(
            detector, dataset, [WiderFaceAP(), OperatingPoint(), RecallBySize()], batch_size=4
        )
        write_report(tmp_path / str(count), dataset, results, {"protocol": "original"})
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = MOST_CROPS + 4, 4 * MOST_CROPS  # from here on the page has all its pictures
    peak(few)  # whatever is imported, or kept for good, is there from now on
    growth = (peak(many) - peak(few)) / (many - few)
    assert growth < SIDE * SIDE * 3 / 30, f"{growth:.0f} bytes for each photograph more"
