"""What is written is read by parsers of a few lines and by pycocotools; other forms are read."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from facezoo.data.annotations import FORMATS
from facezoo.data.annotations.annotation_file import AnnotationFile

NAN = np.nan
POINTS = [[12.25, 24.5], [30, 24], [NAN, NAN], [14, 40], [28, 41.125]]
CONTENT = AnnotationFile(
    names=["1--A/x y.jpg", "none.png", "2--B/z.jpg"],
    starts=np.array([0, 2, 2, 3]),
    boxes=np.array([[10, 20, 40, 60.5], [0, 0, 5, 7], [100.25, 50, 120, 80]]),
    ignore=np.array([False, True, False]),
    landmarks=np.array([POINTS, [[NAN, NAN]] * 5, [[101, 60]] * 5], np.float32),
    attributes=np.array([[1, 0, 0, 0, 2, 1], [0, 0, 0, 1, 0, 0], [2, 1, 1, 0, 0, 0]], np.int8),
    occluded=np.array([[False, True, False, False, False], [False] * 5, [False] * 5]),
    sizes_hw=np.array([[100, 200], [50, 60], [400, 300]], np.int32),
)


def test_widerface_text(tmp_path: Path) -> None:
    path = tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    path.parent.mkdir()
    assert FORMATS["widerface"].write(CONTENT, path) == []
    assert path.read_text() == (
        "1--A/x y.jpg\n2\n10 20 30 40.5 1 0 0 0 2 1\n0 0 5 7 0 0 0 1 0 0\n"
        "none.png\n0\n0 0 0 0 0 0 0 0 0 0\n"
        "2--B/z.jpg\n1\n100.25 50 19.75 30 2 1 1 0 0 0\n"
    )


def test_retinaface_text(tmp_path: Path) -> None:
    path = tmp_path / "label.txt"
    FORMATS["retinaface"].write(CONTENT, path)
    first, none, second = path.read_text().split("# ")[1:]
    assert none == "none.png\n" and second.startswith("2--B/z.jpg\n100.25 50 19.75 30 101 60 0 ")
    name, face, unknown = first.splitlines()
    numbers = [float(word) for word in face.split()]
    assert name == "1--A/x y.jpg" and len(numbers) == 20
    assert numbers[:4] == [10, 20, 30, 40.5]
    assert numbers[4:19] == [12.25, 24.5, 0, 30, 24, 1, -1, -1, -1, 14, 40, 0, 28, 41.125, 0]
    assert [float(word) for word in unknown.split()] == [0, 0, 5, 7, *[-1] * 15, 0]


def test_coco_json_in_pycocotools(tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    FORMATS["coco"].write(CONTENT, path)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        faces = truth.loadAnns(truth.getAnnIds())
        found = [
            {"image_id": f["image_id"], "category_id": 1, "bbox": f["bbox"], "score": 0.9}
            for f in faces
        ]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
    images = truth.loadImgs(truth.getImgIds())
    assert [(i["file_name"], i["height"], i["width"]) for i in images] == [
        ("1--A/x y.jpg", 100, 200),
        ("none.png", 50, 60),
        ("2--B/z.jpg", 400, 300),
    ]
    assert faces[0]["bbox"] == [10, 20, 30, 40.5] and faces[0]["area"] == 30 * 40.5
    assert faces[0]["keypoints"] == [12.25, 24.5, 2, 30, 24, 1, 0, 0, 0, 14, 40, 2, 28, 41.125, 2]
    assert [f["num_keypoints"] for f in faces] == [4, 0, 5]
    assert [f["iscrowd"] for f in faces] == [f["ignore"] for f in faces] == [0, 1, 0]
    assert faces[2]["attributes"] == {
        "blur": 2,
        "expression": 1,
        "illumination": 1,
        "invalid": 0,
        "occlusion": 0,
        "pose": 0,
    }
    assert len(truth.loadCats(1)[0]["keypoints"]) == 5


@pytest.mark.parametrize("with_landmarks", [False, True])
def test_yolo_text(tmp_path: Path, with_landmarks: bool) -> None:
    FORMATS["yolo-landmarks" if with_landmarks else "yolo"].write(CONTENT, tmp_path)
    assert (tmp_path / "none.txt").read_text() == ""
    rows = [line.split() for line in (tmp_path / "1--A/x y.txt").read_text().splitlines()]
    assert [len(row) for row in rows] == [15 if with_landmarks else 5] * 2
    kind, cx, cy, w, h = (float(word) for word in rows[0][:5])
    assert kind == 0
    box = [200 * (cx - w / 2), 100 * (cy - h / 2), 200 * (cx + w / 2), 100 * (cy + h / 2)]
    np.testing.assert_allclose(box, [10, 20, 40, 60.5], atol=1e-6)
    if with_landmarks:
        points = np.array(rows[0][5:], float).reshape(5, 2)
        assert points[2].tolist() == [-1, -1]
        np.testing.assert_allclose(points[[0, 1, 3, 4]] * [200, 100], np.delete(POINTS, 2, 0))


def test_coco_of_several_categories(tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    FORMATS["coco"].write(CONTENT, path)
    text = path.read_text().replace('"categories": [', '"categories": [{"id": 2, "name": "car"}, ')
    path.write_text(text.replace('"category_id": 1', '"category_id": 2', 1))
    content = FORMATS["coco"].read(path)
    assert content.boxes[:, 0].tolist() == [0, 100.25]
    assert content.attributes is not None and content.attributes[:, 3].tolist() == [1, 0]
    assert content.left_out == ["1 of 3 annotations are of other categories: left out."]


def test_coco_faces_in_any_order(tmp_path: Path) -> None:
    """What facezoo keeps beside CocoFaces' fields stays with its face."""
    path = tmp_path / "faces.json"
    path.write_text(
        """{"images": [{"id": 5, "file_name": "a"}, {"id": 2, "file_name": "b"}],
        "categories": [{"id": 1, "name": "any"}], "annotations": [
        {"id": 1, "image_id": 2, "category_id": 1, "bbox": [1, 1, 1, 1]},
        {"id": 2, "image_id": 5, "category_id": 1, "bbox": [2, 2, 1, 1],
         "attributes": {"pose": 1, "occluded": true}, "keypoints": [1,1,1,1,1,2,0,0,0,0,0,0,0,0,0]},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [3, 3, 1, 1], "attributes": {}}]}"""
    )
    content = FORMATS["coco"].read(path)
    assert content.boxes[:, 0].tolist() == [2, 1, 3] and not content.sizes_hw.any()
    assert content.attributes.tolist() == [[0, 0, 0, 0, 0, 1], [0] * 6, [0] * 6]
    assert np.argwhere(content.occluded).tolist() == [[0, 0]]


def test_the_examples_of_the_docs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    face = AnnotationFile(
        names=["1--A/x.jpg"],
        starts=np.array([0, 1]),
        boxes=np.array([[10.0, 20, 50, 80]]),
        ignore=np.array([False]),
        landmarks=np.array([[[20, 40], [40, 40], [NAN, NAN], [22, 65], [38, 65]]], np.float32),
        attributes=np.array([[1, 0, 0, 0, 2, 1]], np.int8),
        occluded=np.array([[False, True, False, False, False]]),
        sizes_hw=np.array([[100, 200]], np.int32),
    )
    (tmp_path / "wider_face_split").mkdir()
    official = tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt"
    FORMATS["widerface"].write(face, official)
    FORMATS["retinaface"].write(face, tmp_path / "label.txt")
    FORMATS["yolo"].write(face, tmp_path / "short")
    FORMATS["yolo-landmarks"].write(face, tmp_path / "long")
    for path in (official, *(tmp_path / name for name in ("label.txt", "short", "long"))):
        file = path / "1--A/x.txt" if path.is_dir() else path
        assert f"\n{file.read_text()}" in text, file.read_text()
    FORMATS["coco"].write(face, tmp_path / "faces.json")
    shown = text.split("```json\n")[1].split("```")[0]
    assert json.loads((tmp_path / "faces.json").read_text())["annotations"] == [json.loads(shown)]
