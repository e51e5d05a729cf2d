"""Conversions of the real annotation, whose counts are the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facezoo.data.annotations import FORMATS
from facezoo.data.datasets import CocoFaces, WiderFace, YoloFaces
from facezoo.datatools.convert import convert

PLACES = {
    "widerface": "wider_face_split/wider_face_{}_bbx_gt.txt",
    "retinaface": "label.txt",
    "coco": "faces.json",
    "yolo": "labels/{}",
    "yolo-landmarks": "labels/{}",
}
COUNTS = {"val": (400, 3816, 2216), "train": (1100, 11596, 6029)}


@pytest.mark.slow
@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("to_format", FORMATS)
def test_counts_stay(shared_data: Path, tmp_path: Path, split: str, to_format: str) -> None:
    root = shared_data / "widerface_mini"
    images = root / f"WIDER_{split}/images"
    source = root / f"retinaface_labels/{split}/label.txt"
    total, faces, with_landmarks = COUNTS[split]
    out = tmp_path / PLACES[to_format].format(split)
    done = convert(source, "retinaface", to_format, out, images=images)
    assert (done.images, done.faces) == (total, faces)
    content = FORMATS[to_format].read(out, FORMATS[to_format].images_folder(out))
    if to_format in ("widerface", "yolo"):
        assert any(f"those of {with_landmarks:,} of {faces:,} faces" in one for one in done.lost)
    else:
        assert content.known().any(axis=1).sum() == with_landmarks
    original = FORMATS["retinaface"].read(source, None)
    boxes = {name: original.boxes[list(rows)] for name, rows in original.rows()}
    for number, (name, rows) in enumerate(content.rows()):
        wanted = boxes.pop(name)
        if to_format.startswith("yolo"):  # which cuts boxes that stick out of their image
            wanted = wanted.clip(0, np.tile(content.sizes_hw[number][::-1], 2))
        np.testing.assert_allclose(content.boxes[list(rows)], wanted, atol=0.001)
    assert not boxes


@pytest.mark.slow
def test_the_official_text_comes_back_word_for_word(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "widerface_mini"
    source = root / PLACES["widerface"].format("val")
    back = tmp_path / PLACES["widerface"].format("val")
    convert(source, "widerface", "coco", tmp_path / "faces.json")
    # Without images, as the json has their sizes.
    again = tmp_path / "again.json"
    convert(tmp_path / "faces.json", "coco", "coco", again)
    done = convert(again, "coco", "widerface", back, images=root / "WIDER_val/images")
    assert done.lost == ()
    assert back.read_text().split() == source.read_text().split()


@pytest.mark.slow
def test_the_data_set_classes_agree(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "widerface_mini"
    source = root / PLACES["widerface"].format("val")
    widerface = WiderFace(root, "val")
    convert(source, "widerface", "coco", tmp_path / "faces.json")
    convert(source, "widerface", "yolo", tmp_path / "labels/val")
    coco = CocoFaces(root / "WIDER_val/images", tmp_path / "faces.json")
    yolo = YoloFaces(tmp_path / "images/val", tmp_path / "labels/val")
    for key in ("images", "faces", "dropped", "ignored"):
        assert coco.counts[key] == widerface.counts[key]
    for key in ("images", "faces", "dropped"):
        assert yolo.counts[key] == widerface.counts[key]
    place = next(i for i in range(400) if len(widerface.truth(i).boxes) == 5)
    name = widerface.image_id(place)
    (other,) = (i for i in range(400) if yolo.image_id(i) == name)
    np.testing.assert_allclose(yolo[other].boxes, widerface[place].boxes, atol=0.01)
    assert np.array_equal(yolo[other].image, widerface[place].image)


@pytest.mark.slow
def test_the_whole_official_validation_file(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "annotations_full/wider_face_val_bbx_gt.txt"
    done = convert(source, "widerface", "retinaface", tmp_path / "label.txt")
    assert (done.images, done.faces) == (3226, 39708)
    text = (tmp_path / "label.txt").read_text()
    assert text.count("# ") == 3226 and text.count("\n") == 3226 + 39708
