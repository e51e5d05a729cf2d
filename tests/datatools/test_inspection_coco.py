"""A json in COCO's format: its faults, and its cleaned copy."""

import copy
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from facezoo.data.annotations import open_annotation_files
from facezoo.data.datasets import CocoFaces
from facezoo.datatools.inspection import inspect, write_repaired
from facezoo.errors import ConfigError, DataError

POINTS = [11, 21, 2, 19, 21, 1, 15, 25, 2, 0, 0, 0, 18.5, 29, 2]
CLEAN = {
    "info": {"year": 2020},
    "images": [
        {"id": 7, "file_name": "b/two.png", "width": 60, "height": 40},
        {"id": 3, "file_name": "b/one.png"},
        {"id": 9, "file_name": "b/none.png", "width": 60, "height": 40},
    ],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1.25, 2, 10, 20.5], "area": 205},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [10, 20, 10, 10], "keypoints": POINTS},
        {"id": 3, "image_id": 3, "category_id": 1, "bbox": [5, 5, 9, 9], "iscrowd": 1},
        {"id": 4, "image_id": 7, "category_id": 2, "bbox": None},
    ],
    "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "hand"}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    for grey, name in enumerate(("two", "one", "none")):
        cv2.imwrite(str(tmp_path / "b" / f"{name}.png"), np.full((40, 60, 3), grey, np.uint8))
    # It lies in no folder of the annotated images, so that it may be another split's.
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((4, 6, 3), np.uint8))
    return tmp_path


def inspected(folder, content):
    (folder / "faces.json").write_text(json.dumps(content))
    (inspection,) = inspect(open_annotation_files(folder / "faces.json"))
    return inspection


def kinds(inspection):
    return Counter((one.kind, one.where.rpartition(": ")[2]) for one in inspection.findings)


def face(number, **changed):
    return {"id": number, "image_id": 3, "category_id": 1, "bbox": [1, 1, 5, 5], **changed}


def test_clean(folder):
    inspection = inspected(folder, CLEAN)
    assert inspection.findings == [] and inspection.images_read == 3


def test_faults_and_cleaned_copy(folder):
    content = copy.deepcopy(CLEAN)
    content["images"] += [
        {"id": 20, "file_name": "b/two.png"},
        {"id": 7, "file_name": "b/third.png"},
        {"id": 21},
        {"id": 22, "file_name": "../away.png"},
    ]
    content["images"][2]["width"] = 61
    content["annotations"] += [
        face(10, bbox=[1, 2, 3]),
        face(11, bbox=[1, 2, float("nan"), 4]),
        face(12, image_id=99),
        {"id": 13},
        face(14, bbox=[50, 30, 20, 5], area=100),
        face(15, bbox=[5, 5, 0, 5]),
        face(16, bbox=[5, 5, 9, 9]),
        face(17, image_id=20, bbox=[30, 20, 8, 8]),
        face(18, image_id=9),
        face(19, image_id=7, bbox=[25, 20, 10, 10], keypoints=POINTS, num_keypoints=4),
    ]
    inspection = inspected(folder, content)
    assert kinds(inspection) == Counter(
        {
            ("annotated_twice", "images[3]"): 1,
            **{("malformed", f"images[{place}]"): 1 for place in (4, 5, 6)},
            **{("malformed", f"annotations[{place}]"): 1 for place in (4, 5, 6, 7)},
            ("wrong_size", "images[2]"): 1,
            ("box_partly_outside", "annotations[8]"): 1,
            ("box_without_area", "annotations[9]"): 1,
            ("duplicate_box", "annotations[10]"): 1,
            ("landmark_outside_box", "annotations[13]"): 4,
        }
    )
    original = (folder / "faces.json").read_bytes()
    write_repaired([inspection], folder / "faces.json", folder / "fixed")
    assert (folder / "faces.json").read_bytes() == original
    fixed = json.loads((folder / "fixed" / "faces.json").read_text())
    assert fixed["info"] == CLEAN["info"] and fixed["categories"] == CLEAN["categories"]
    assert fixed["images"] == CLEAN["images"][:2]
    faces = {one["id"]: one for one in fixed["annotations"]}
    assert list(faces) == [1, 2, 3, 4, 14, 17, 19]
    assert [faces[number] for number in (1, 2, 3, 4)] == CLEAN["annotations"]
    assert faces[14]["bbox"] == [50, 30, 10, 5] and faces[14]["area"] == 50
    assert faces[17]["image_id"] == 7
    assert faces[19]["keypoints"] == [0] * 15 and faces[19]["num_keypoints"] == 0
    strict = CocoFaces(folder, folder / "fixed" / "faces.json", category="face")
    assert [len(strict.truth(i).boxes) for i in range(len(strict))] == [3, 3]


def test_an_image_whose_only_face_cannot_be_read_goes(folder):
    content = copy.deepcopy(CLEAN)
    content["annotations"].append(face(10, image_id=9, bbox="none"))
    inspection = inspected(folder, content)
    (finding,) = inspection.findings
    assert (finding.kind, finding.image) == ("malformed", "b/none.png")
    write_repaired([inspection], folder / "faces.json", folder / "fixed")
    fixed = json.loads((folder / "fixed" / "faces.json").read_text())
    assert fixed["images"] == CLEAN["images"][:2]
    assert fixed["annotations"] == CLEAN["annotations"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no valid JSON"),
        ("[]", "has no list 'images'; give a json in COCO's format"),
        ('{"images": [], "annotations": {}}', "has no list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": []}', "has 0 categories"),
        (
            json.dumps({**CLEAN, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}),
            "2 categories .a, b. and no single one named 'face'",
        ),
        (json.dumps({**CLEAN, "images": []}), "names no image"),
    ],
)
def test_what_is_no_coco(tmp_path, content, sentence):
    (tmp_path / "faces.json").write_text(content)
    with pytest.raises(DataError, match=sentence):
        open_annotation_files(tmp_path / "faces.json")


def test_a_split_of_a_file(folder):
    inspected(folder, CLEAN)
    with pytest.raises(ConfigError, match="is one file; leave it out"):
        open_annotation_files(folder / "faces.json", "train")
