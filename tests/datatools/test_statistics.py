"""Counts against plain loops and against what the data sets themselves count."""

import json
import logging
import statistics as library
from pathlib import Path

import numpy as np
import pytest

from facezoo.data.annotations import open_annotation_files
from facezoo.data.annotations.annotation_file import ATTRIBUTES
from facezoo.data.datasets import CocoFaces, WiderFace
from facezoo.datatools.statistics import ATTRIBUTE_VALUES, HEIGHTS, statistics
from facezoo.errors import DataError
from facezoo.metrics.evaluators import RecallBySize
from facezoo.structures import Truth

OFFICIAL = """\
0--Parade/a.jpg
4
10 20 30 40 2 1 0 0 2 1
1 2 3 4 0 0 0 1 0 0
5 6 0 7 0 0 0 1 0 0
50.5 60 2 128 1 0 1 0 1 9
1--Hands/b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Hands/c.jpg
1
7 8 9 8 0 0 0 0 0 0
"""


def count(path: Path, text: str) -> dict:
    path.write_text(text)
    (file,) = open_annotation_files(path)
    return statistics(file)


def test_counts(tmp_path: Path) -> None:
    counted = count(tmp_path / "faces.txt", OFFICIAL)
    attributes = counted.pop("attributes")
    assert counted == {
        "images": 3,
        "faces": 5,
        "images_without_faces": 1,
        "faces_per_image": {"min": 0, "median": 1.0, "mean": 1.6667, "max": 4},
        "images_by_faces": {
            **dict.fromkeys(["6-10", "11-20", "21-50", "51-100", "101+"], 0),
            **{"0": 1, "1": 1, "2-5": 1},
        },
        "face_heights": {"0-8": 1, "8-16": 1, "16-32": 0, "32-64": 1, "64-128": 0, "128+": 1},
        "dropped": 1,
        "ignored": 1,
        "with_landmarks": 0,
        "official": None,
    }
    assert attributes["blur"] == {"clear": 3, "normal": 1, "heavy": 1}
    assert attributes["invalid"] == {"no": 3, "yes": 2}
    assert attributes["pose"] == {"typical": 3, "atypical": 1, "9": 1}


def test_names_are_those_of_the_library() -> None:
    assert tuple(ATTRIBUTE_VALUES) == ATTRIBUTES
    measure = RecallBySize()
    assert tuple(HEIGHTS.values()) == measure.edges
    names = measure({}, {"a": Truth(np.zeros((0, 4)), np.zeros(0, bool))}).metrics
    assert [f"recall_by_size/{name}_faces" for name in HEIGHTS] == list(names)


def test_whether_the_counts_are_the_official_ones(tmp_path: Path) -> None:
    images = [f"{i // 500}--Event/{i}.jpg\n1\n1 2 9 9 0 0 0 0 0 0\n" for i in range(3225)]
    rest = 39_708 - 3225
    images.append(f"last.jpg\n{rest}\n" + "1 2 9 9 0 0 0 0 0 0\n" * rest)
    path = tmp_path / "wider_face_val_bbx_gt.txt"
    assert count(path, "".join(images))["official"] is True
    assert count(path, "".join(images[1:]))["official"] is False


def test_coco_counts_as_its_data_set(tmp_path: Path) -> None:
    points = [1, 1, 2, 3, 1, 2, 2, 2, 0, 1, 3, 2, 3, 3, 2]
    boxes = [[1, 2, 10, 20], [1, 2, 0, 5], [3, 3, 8, 200]]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 5, "bbox": box, "iscrowd": i % 2}
            for i, box in enumerate(boxes)
        ],
        "categories": [{"id": 5, "name": "head"}],
    }
    content["annotations"][2]["keypoints"] = points
    path = tmp_path / "faces.json"
    counted = count(path, json.dumps(content))
    own = CocoFaces(tmp_path, path).counts
    assert {name: counted[name] for name in own if name in counted} == {
        name: number for name, number in own.items() if name in counted
    }
    assert counted["attributes"] is None and counted["with_landmarks"] == 1
    assert counted["face_heights"]["128+"] == 1


def test_a_malformed_annotation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.txt"
    with pytest.raises(DataError, match=r"faces.txt:4: 'x' is no finite number; .*data check"):
        count(path, OFFICIAL.replace("1 2 3 4 0", "1 2 3 x 0"))


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_real_annotation(shared_data: Path, split: str) -> None:
    root = shared_data / "widerface_mini"
    official, labels = map(statistics, open_annotation_files(root, split))
    logging.disable(logging.WARNING)
    dataset = WiderFace(root, split, Path(f"retinaface_labels/{split}/label.txt"))
    logging.disable(logging.NOTSET)
    own = dataset.counts
    assert labels["with_landmarks"] == own["with_landmarks"]
    for name in ("images", "faces", "dropped", "ignored"):
        assert official[name] == own[name]
    per_image = [len(dataset.truth(i).boxes) for i in range(len(dataset))]
    assert official["faces_per_image"]["median"] == library.median(per_image)
    assert official["faces_per_image"]["mean"] == pytest.approx(library.mean(per_image), abs=1e-4)
    assert official["images_without_faces"] == per_image.count(0)
    assert sum(official["images_by_faces"].values()) == len(dataset)
    assert sum(official["face_heights"].values()) == own["faces"] - own["dropped"]
    for values in official["attributes"].values():
        assert sum(values.values()) == own["faces"]


@pytest.mark.slow
def test_official_annotation(shared_data: Path) -> None:
    train, val = map(statistics, open_annotation_files(shared_data / "annotations_full"))
    assert train["official"] and val["official"]
    assert (train["dropped"], val["dropped"], val["ignored"]) == (31, 11, 585)
