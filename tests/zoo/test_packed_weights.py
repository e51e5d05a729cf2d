"""The weights in the wheel find the faces of photographs that they were not trained on."""

import re
from pathlib import Path

import numpy as np
import pytest

from facezoo.data.datasets import WiderFace
from facezoo.inference.detector import Detector
from facezoo.inference.loading import load_model
from facezoo.zoo.catalogue import WEIGHTS

PACKED = sorted(WEIGHTS.glob("*.safetensors"))
EVERY = 8  # photographs of the validation set, of which one is looked at


def test_two_detectors_come_along() -> None:
    assert [path.stem for path in PACKED] == ["retinaface_mnet025", "yoloface_n05"]


@pytest.mark.parametrize("path", PACKED, ids=lambda path: path.stem)
def test_weights_are_small_and_have_a_card(path: Path) -> None:
    assert path.stat().st_size < 1e6
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    model = load_model(path.stem).model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert re.search(r"([\d,]+) parameters", card)[1] == f"{parameters:,}"  # type: ignore[index]
    for word in ("Data", "Budget", "Recipe", "AP", "Limits"):
        assert f"* **{word}**" in card


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKED, ids=lambda path: path.stem)
def test_the_model_of_a_name_finds_faces_and_landmarks(path: Path, shared_data: Path) -> None:
    root = shared_data / "widerface_mini"
    photographs = WiderFace(root, "val", landmarks=Path("retinaface_labels/val/label.txt"))
    detector = Detector(path.stem, score_thresh=0.3, protocol="vga")
    large, found, errors = 0, 0, []
    for number in range(0, len(photographs), EVERY):
        truth = photographs[number]
        (faces,) = detector([truth.image])
        for box, points in zip(truth.boxes, truth.landmarks, strict=True):
            height = box[3] - box[1]
            if height < 64:
                continue
            large += 1
            overlaps = np.array([iou(box, one) for one in faces.boxes])
            if len(overlaps) == 0 or overlaps.max() < 0.5:
                continue
            found += 1
            if np.isfinite(points).all():
                gap = np.linalg.norm(faces.landmarks[overlaps.argmax()] - points, axis=-1)
                errors.append(gap.mean() / height)
    assert large > 30
    assert found / large > 0.7
    assert np.median(errors) < 0.07  # of the height of a face


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes, in plain numbers."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(common / (areas - common))
