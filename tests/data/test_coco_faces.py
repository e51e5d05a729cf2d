import contextlib
import copy
import io
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from facezoo.data.datasets import CocoFaces
from facezoo.errors import DataError

POINTS = [11, 21, 2, 19, 21, 1, 15, 25, 2, 0, 0, 0, 18.5, 29, 2]
CONTENT = {
    "images": [
        {"id": 7, "file_name": "b/two.png", "width": 60, "height": 40},
        {"id": 3, "file_name": "one.png"},
        {"id": 9, "file_name": "none.png", "width": 60, "height": 40},
    ],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1.25, 2, 10, 20.5]},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [10, 20, 10, 10], "keypoints": POINTS},
        {"id": 3, "image_id": 3, "category_id": 1, "bbox": [5, 5, 9, 9], "iscrowd": 1},
        {"id": 4, "image_id": 3, "category_id": 1, "bbox": [6, 5, 9, 9], "ignore": 1},
        {"id": 5, "image_id": 7, "category_id": 1, "bbox": [6, 5, 0, 9]},
    ],
    "categories": [{"id": 1, "name": "face"}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/two.png", "one.png", "none.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def opened(folder, content, **options):
    path = folder / "faces.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return CocoFaces(folder, path, **options)


def changed(section, place, **entries):
    content = copy.deepcopy(CONTENT)
    content[section][place].update(entries)
    return content


def without(section, place, key):
    content = copy.deepcopy(CONTENT)
    del content[section][place][key]
    return content


def test_agrees_with_pycocotools(folder):
    dataset = opened(folder, CONTENT)
    with contextlib.redirect_stdout(io.StringIO()):
        other = COCO(str(folder / "faces.json"))
    for index, image in enumerate(other.loadImgs([7, 3, 9])):
        assert dataset.image_id(index) == image["file_name"]
        faces = other.imgToAnns[image["id"]]
        truth, sample = dataset.truth(index), dataset[index]
        boxes = np.array([face["bbox"] for face in faces], np.float64).reshape(-1, 4)
        wanted = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        area = boxes[:, 2] > 0
        assert np.array_equal(truth.boxes[area], wanted[area])
        assert np.array_equal(sample.boxes, wanted[area].astype(np.float32))
        flags = [face.get("iscrowd", 0) or face.get("ignore", 0) for face in faces]
        assert truth.ignore.tolist() == [bool(f) or not a for f, a in zip(flags, area, strict=True)]
        assert sample.ignore.tolist() == [bool(f) for f, a in zip(flags, area, strict=True) if a]
        assert sample.image.shape == (40, 60, 3) and sample.attributes is None


def test_landmarks(folder):
    landmarks = opened(folder, CONTENT)[0].landmarks
    wanted = [[11, 21], [19, 21], [15, 25], [np.nan, np.nan], [18.5, 29]]
    assert landmarks.dtype == np.float32 and np.array_equal(landmarks, [wanted], equal_nan=True)
    assert np.isnan(opened(folder, CONTENT)[1].landmarks).all()


def test_counts(folder):
    assert opened(folder, CONTENT).counts == {
        "images": 3,
        "faces": 5,
        "dropped": 1,
        "ignored": 2,
        "with_landmarks": 1,
        "other_categories": 0,
    }


def test_category_is_chosen_by_name(folder):
    content = changed("annotations", 0, category_id=2)
    content["categories"] = [{"id": 2, "name": "person"}, {"id": 1, "name": "face"}]
    said = r"2 categories \(person, face\) and no single one named 'head'; .* as category"
    with pytest.raises(DataError, match=said):
        opened(folder, content, category="head")
    for category in ("face", None):  # of several, the one of that name
        dataset = opened(folder, content, category=category)
        assert len(dataset) == 3 and dataset.counts["faces"] == 4
        assert dataset.counts["other_categories"] == 1
    content["categories"][1]["name"] = "head"
    with pytest.raises(DataError, match=r"2 categories \(person, head\) and no .* named 'face'"):
        opened(folder, content)


def test_no_annotation_at_all(folder):
    dataset = opened(folder, {**CONTENT, "annotations": []})
    assert len(dataset) == 3 and dataset[1].boxes.shape == (0, 4)
    assert dataset[1].landmarks.shape == (0, 5, 2) and dataset.truth(2).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "is no valid JSON"),
        ("[" * 100000, "is no valid JSON"),
        ("[]", "has no list 'images'"),
        ({"images": [], "categories": []}, "has no list 'annotations'"),
        ({**CONTENT, "categories": {}}, "has no list 'categories'"),
        ({**CONTENT, "images": [], "annotations": []}, "names no image"),
        ({**CONTENT, "images": ["a.jpg"]}, r"images\[0\]: the image has no id"),
        (without("annotations", 1, "bbox"), r"annotations\[1\]: bbox is None, not 4"),
        (without("images", 2, "file_name"), r"images\[2\]: the image has no file_name"),
        (changed("annotations", 3, image_id=99), r"annotations\[3\]: .* of image 99, which is not"),
        (changed("annotations", 3, image_id=[1]), r"annotations\[3\]: .* of image \[1\], which"),
        (changed("annotations", 2, bbox=[1, 2, float("nan"), 4]), r"annotations\[2\]: bbox .*nan"),
        (changed("annotations", 2, bbox=[1, 2, 10**400, 4]), r"annotations\[2\]: bbox"),
        (changed("annotations", 2, bbox=[1, 2, 3]), r"annotations\[2\]: bbox .*not 4 finite"),
        (changed("annotations", 2, bbox="box"), r"annotations\[2\]: bbox is box"),
        (changed("annotations", 2, keypoints=[1] * 51), r"\[2\]: keypoints .*not 15 finite"),
        (changed("images", 1, id=7), r"images\[1\]: the id 7 is that of another image"),
        (changed("images", 1, file_name="none.png"), r"none\.png is annotated a second time"),
        (changed("images", 1, file_name="/etc/one.png"), "leads out of its folder"),
        (changed("images", 1, file_name="a/../../one.png"), "leads out of its folder"),
    ],
)
def test_malformed(folder, content, said):
    with pytest.raises(DataError, match=said) as error:
        opened(folder, content)
    assert "\n" not in str(error.value)


def test_image_of_another_size(folder):
    dataset = opened(folder, changed("images", 0, width=40, height=60))
    with pytest.raises(DataError, match=r"two\.png has 60 x 40 pixels, but .* is for 40 x 60"):
        dataset[0]


def test_what_is_missing(folder):
    with pytest.raises(DataError, match=r"no\.json does not exist"):
        CocoFaces(folder, folder / "no.json")
    with pytest.raises(DataError, match=r"folder of images .*nowhere does not exist"):
        CocoFaces(folder / "nowhere", folder / "no.json")
    (folder / "one.png").unlink()
    with pytest.raises(DataError, match=r"one\.png does not exist"):
        opened(folder, CONTENT)[1]
