"""Annotation files as people have them: what is wrong with a line, and which line it is."""

import itertools
import json
import re

import cv2
import numpy as np
import pytest

from facezoo.data.datasets import CocoFaces, WiderFace
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms import Letterbox
from facezoo.errors import DataError

OFFICIAL = """\
0--Parade/a.jpg
2
10 20 30 40 2 1 0 0 2 1
50 10 20 20 0 0 0 0 0 0
0--Parade/b.jpg
1
5 6 7 8 0 0 0 1 0 0
"""
POINTS = " ".join(["1 2 0"] * 5)
LABELS = f"""\
# 0--Parade/a.jpg
10 20 30 40 {POINTS} 0.9
50 10 20 20 {POINTS} 0.9
# 0--Parade/b.jpg
5 6 7 8 {POINTS} 0.9
"""
COCO = {
    "images": [
        {"id": 1, "file_name": "0--Parade/a.jpg"},
        {"id": 2, "file_name": "0--Parade/b.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 6, 7, 8]},
    ],
    "categories": [{"id": 1, "name": "face"}],
}

SPELLINGS = {
    "unix": lambda text: text.encode(),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "windows and mark": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
}
every_spelling = pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "WIDER_train" / "images" / "0--Parade"
    folder.mkdir(parents=True)
    (tmp_path / "wider_face_split").mkdir()
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((80, 100, 3), np.uint8))
    return tmp_path


def widerface(root, data, labels=None):
    (root / "wider_face_split" / "wider_face_train_bbx_gt.txt").write_bytes(data)
    if labels is not None:
        (root / "label.txt").write_bytes(labels)
    return WiderFace(root, landmarks=None if labels is None else "label.txt")


def coco(root, data):
    (root / "faces.json").write_bytes(data)
    return CocoFaces(root / "WIDER_train" / "images", root / "faces.json")


def sentence(call, *arguments):
    """The one sentence that a call ends with."""
    with pytest.raises(DataError) as caught:
        call(*arguments)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and "\r" not in said and "\ufeff" not in said
    return said


@every_spelling
@pytest.mark.parametrize(
    "old, new, line, said",
    [
        ("10 20 30 40 2 1", "10 20 30 40", 3, "a face has 8 values where 10 belong"),
        ("2 1 0 0 2 1", "2 1 0 0 2 1 7", 3, "a face has 11 values where 10 belong"),
        ("5 6 7 8 0", "5 6 7 8 0 0", 7, "a face has 11 values where 10, as in the lines"),
        ("50 10 20", "50,10,20", 4, "a face has 8 values where 10, as in the lines"),
        ("50 10 20 20", "50 10 20 px", 4, "'px' is no finite number"),
        ("50 10 20 20", "50 10 20 0x1F", 4, "'0x1F' is no finite number"),
        ("50 10 20 20", "50 10 20 1,5", 4, "'1,5' is no finite number"),
        ("0 0 0 1 0 0", "0 0 0 yes 0 0", 7, "'yes' is no finite number"),
        ("a.jpg\n2", "a.jpg\n-2", 2, "'-2' stands where the number of faces"),
        ("a.jpg\n2", "a.jpg\n2.0", 2, "'2.0' stands where the number of faces"),
        ("a.jpg\n2", "a.jpg\n2 faces", 2, "'2 faces' stands where the number of faces"),
        ("a.jpg\n2\n", "a.jpg\n", 2, "'10 20 30 40 2 1 0 0 2 1' stands where the number"),
        ("0--Parade/a.jpg", "0--Parade/a", 1, "'0--Parade/a' stands where the name of an image"),
        ("a.jpg\n2", "a.jpg\n1", 2, "the count says 1 faces, but 2 lines follow"),
        ("Parade/b", "Parade/a", 5, "the image 0--Parade/a.jpg is annotated a second time"),
    ],
)
def test_lines_of_widerface(root, spelled, old, new, line, said):
    assert old in OFFICIAL
    found = sentence(widerface, root, spelled(OFFICIAL.replace(old, new, 1)))
    assert f"wider_face_train_bbx_gt.txt:{line}: {said}" in found


@every_spelling
@pytest.mark.parametrize(
    "old, new, line, said",
    [
        # One value less is the form without a confidence, until the next line.
        ("10 20 30 40", "10 20 30", 3, "a face has 20 values where 19, as in the lines above,"),
        ("10 20 30 40", "10 20", 2, "a face has 18 values where 20 or 19 belong"),
        (" 0.9\n#", " 0.9 1 1\n#", 3, "a face has 22 values where 20, as in the lines above,"),
        (" 0.9\n#", "\n#", 3, "a face has 19 values where 20, as in the lines above,"),
        ("5 6 7 8", "5 6 seven 8", 5, "'seven' is no finite number"),
    ],
)
def test_lines_of_landmarks(root, spelled, old, new, line, said):
    assert old in LABELS
    data = spelled(LABELS.replace(old, new, 1))
    found = sentence(widerface, root, spelled(OFFICIAL), data)
    assert f"label.txt:{line}: {said}" in found


@every_spelling
def test_spellings_of_good_files_are_one(root, spelled):
    wanted = widerface(root, OFFICIAL.encode(), LABELS.encode()).annotations
    found = widerface(root, spelled(OFFICIAL), spelled(LABELS)).annotations
    other = coco(root, spelled(json.dumps(COCO, indent=1))).annotations
    assert list(found.names) == list(wanted.names) == list(other.names)
    assert np.array_equal(found.boxes, wanted.boxes)
    assert np.array_equal(found.landmarks, wanted.landmarks) and (found.landmarks > 0).all()
    assert other.boxes.tolist() == [[10, 20, 40, 60], [5, 6, 12, 14]]


@pytest.mark.parametrize("read", [widerface, coco])
def test_no_text(root, read):
    content = OFFICIAL if read is widerface else json.dumps(COCO)
    said = sentence(read, root, b"\xff\xd8\xff\xe0" + content.encode())
    assert "bbx_gt.txt cannot be read" in said or "faces.json is no valid JSON" in said


@every_spelling
@pytest.mark.parametrize(
    "bbox",
    [
        [10, 20, 30],
        [10, 20, 30, 40, 50],
        ["10", "20", "30", "40"],
        [10, 20, 30, None],
        [10, 20, 30, True],
        [[10, 20], [30, 40]],
        {"x": 10},
        "10 20 30 40",
        10,
    ],
    ids=str,
)
def test_boxes_of_coco(root, spelled, bbox):
    content = json.loads(json.dumps(COCO))
    content["annotations"][1]["bbox"] = bbox
    said = sentence(coco, root, spelled(json.dumps(content, indent=1)))
    assert re.search(r"faces\.json: annotations\[1\]: bbox is .*, not 4 finite numbers; ", said)


@every_spelling
def test_line_of_a_fault_in_a_json(root, spelled):
    lines = json.dumps(COCO, indent=1).split("\n")
    place = next(number for number, line in enumerate(lines) if '"bbox"' in line)
    lines[place] = lines[place].replace(":", "")
    said = sentence(coco, root, spelled("\n".join(lines)))
    assert "faces.json is no valid JSON" in said and f"line {place + 1} " in said


@pytest.mark.parametrize("read", [widerface, coco])
def test_image_that_is_not_there(root, read):
    """It is noticed when it is its turn; then the run ends or takes the next, as it was told."""
    data = OFFICIAL if read is widerface else json.dumps(COCO)
    dataset = read(root, data.encode())
    missing = root / "WIDER_train" / "images" / "0--Parade" / "b.jpg"
    missing.unlink()
    wanted = f"The image {missing} does not exist; check the path."
    assert sentence(dataset.__getitem__, 1) == wanted
    assert len(dataset.truth(1).boxes) == 1
    transforms = [Letterbox(size=32)]
    assert sentence(next, train_stream(dataset, transforms, 2, seed=0)) == wanted
    stream = train_stream(dataset, transforms, 2, seed=0, on_unreadable="next")
    for batch in itertools.islice(stream, 2):
        assert batch.ids == ("0--Parade/a.jpg",) * 2 and batch.unreadable == (wanted,)
