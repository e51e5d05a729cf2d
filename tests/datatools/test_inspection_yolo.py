"""A folder of YOLO's labels: its faults, and its cleaned copy."""

import cv2
import numpy as np
import pytest

from facezoo.data.annotations import open_annotation_files
from facezoo.data.datasets import YoloFaces
from facezoo.datatools.inspection import inspect, write_repaired
from facezoo.datatools.sample_pictures import open_samples
from facezoo.datatools.statistics import statistics
from facezoo.errors import ConfigError, DataError

FACE = "0 0.5 0.5 0.25 0.5"
POINTS = "0.45 0.5 0.5 0.5 -1 -1 0.45 0.6 {}"


@pytest.fixture
def root(tmp_path):
    """Returns a folder in YOLO's layout whose one split is clean."""
    images, labels = tmp_path / "images/val", tmp_path / "labels/val"
    for folder in (images / "b", labels / "b"):
        folder.mkdir(parents=True)
    for grey, name in enumerate(("b/one", "none", "two")):
        cv2.imwrite(str(images / f"{name}.png"), np.full((40, 60, 3), grey, np.uint8))
    (labels / "b/one.txt").write_text(f"{FACE} {POINTS.format('0.5 0.6')}\n")
    (labels / "two.txt").write_text(f"{FACE}\n2 0.5 0.5 0.5 0.5\n0 0.25 0.5 0.25 0.5\n")
    return tmp_path


def found(root):
    (inspection,) = inspect(open_annotation_files(root))
    return inspection, [
        (one.kind, one.where.removeprefix(f"{root}/")) for one in inspection.findings
    ]


def test_a_clean_folder(root):
    inspection, findings = found(root)
    assert findings == [] and inspection.images_read == 3
    assert (inspection.file.title, inspection.file.split) == ("val", "val")
    counts = statistics(open_annotation_files(root, "val")[0])
    assert (counts["images"], counts["faces"], counts["with_landmarks"]) == (3, 3, 1)
    assert len(open_samples(str(root), "val", [])[0]) == 3
    (alone,) = open_annotation_files(root / "labels/val")
    assert alone.split == "val" and alone.boxes.tolist() == inspection.file.boxes.tolist()
    with pytest.raises(ConfigError, match="is one file; leave it out"):
        open_annotation_files(root / "labels/val", "val")


def test_faults_and_cleaned_copy(root):
    labels = root / "labels/val"
    (labels / "b/one.txt").write_text(
        f"{FACE} {POINTS.format('0.95 0.6')}\n0 0.5 0.5 0 0.5 {POINTS.format('0.5 0.6')}\n"
    )
    with (labels / "two.txt").open("a") as file:
        file.write("0 0.5 x 0.5 0.5\n\n0 1.5 0.5 0.5 0.5\n0 0 0.5 0.5 0.5\n")
    (labels / "lonely.txt").write_text(FACE)
    (root / "images/val/broken.png").write_bytes(b"no picture")
    (labels / "broken.txt").write_text(FACE)
    inspection, findings = found(root)
    assert findings == [
        ("malformed", "labels/val/two.txt:4"),
        ("malformed", "labels/val/two.txt:6"),
        ("malformed", "labels/val/lonely.txt"),
        ("unreadable_image", "labels/val/broken.txt"),
        ("box_without_area", "labels/val/b/one.txt:2"),
        ("box_partly_outside", "labels/val/two.txt:7"),
        ("landmark_outside_box", "labels/val/b/one.txt:1"),
    ]
    with pytest.raises(DataError, match=r"broken\.txt: The size of the image .*broken\.png cannot"):
        YoloFaces(root / "images/val", labels)
    write_repaired([inspection], root, root / "fixed")
    fixed = root / "fixed/labels/val"
    assert (fixed / "b/one.txt").read_text() == f"{FACE} {POINTS.format('-1 -1')}\n"
    clean = f"{FACE}\n2 0.5 0.5 0.5 0.5\n0 0.25 0.5 0.25 0.5\n0 0.125 0.5 0.25 0.5\n"
    assert (fixed / "two.txt").read_text() == clean and (fixed / "none.txt").read_text() == ""
    assert not (fixed / "broken.txt").exists() and not (fixed / "lonely.txt").exists()
    changes = (root / "fixed/changes.txt").read_text()
    assert "broken.png" in changes and "image removed with its faces" in changes
    (root / "images/val/broken.png").unlink()
    assert len(YoloFaces(root / "images/val", fixed)) == 3


def test_two_images_of_one_name_are_a_finding(root):
    cv2.imwrite(str(root / "images/val/two.jpg"), np.full((40, 60, 3), 9, np.uint8))
    _, findings = found(root)
    assert ("malformed", "labels/val/two.txt") in findings
