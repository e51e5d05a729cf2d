"""Predictions written and read, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facezoo.errors import DataError
from facezoo.metrics.predictions import (
    read_widerface_predictions,
    write_coco_predictions,
    write_widerface_predictions,
)
from facezoo.structures import Faces

ID = "0--Parade/0_Parade_1.jpg"
EMPTY = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "0--Parade" / "0_Parade_1.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(-20, 1500, (500, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.exponential(30, (500, 2))], axis=1)
    scores = np.sort(rng.random(500).astype(np.float32))[::-1]
    faces = {ID: Faces(boxes.astype(np.float32), scores), "e/b.x.png": EMPTY}
    write_widerface_predictions(tmp_path / "new" / "folder", faces)
    back = read_widerface_predictions(tmp_path / "new" / "folder")
    assert set(back) == {ID, "e/b.x.jpg"}
    assert (back[ID].scores == faces[ID].scores).all()
    np.testing.assert_allclose(back[ID].boxes, faces[ID].boxes, rtol=2e-7, atol=1e-6)
    assert back[ID].boxes.dtype == back[ID].scores.dtype == np.float32
    assert len(back["e/b.x.jpg"]) == 0 and back["e/b.x.jpg"].boxes.shape == (0, 4)
    assert set(read_widerface_predictions(tmp_path / "new" / "folder", ["e/b.x.png"])) == {
        "e/b.x.png"
    }


def test_format(tmp_path: Path) -> None:
    faces = Faces(np.array([[1.5, 2, 11.5, 22]], np.float32), np.array([0.5], np.float32))
    write_widerface_predictions(tmp_path, {ID: faces, "0--Parade/none.jpg": EMPTY})
    assert (tmp_path / "0--Parade/0_Parade_1.txt").read_text() == "0_Parade_1\n1\n1.5 2 10 20 0.5\n"
    assert (tmp_path / "0--Parade/none.txt").read_text() == "none\n0\n"


def test_blanks_and_order(tmp_path: Path) -> None:
    write(tmp_path, "\r\n a name \n\n 2 \r\n\n1  2\t3 4 0.25 \n\n 5 6 7 8 1e0\n\n\n")
    faces = read_widerface_predictions(tmp_path)[ID]
    assert faces.boxes.tolist() == [[5, 6, 12, 14], [1, 2, 4, 6]]
    assert faces.scores.tolist() == [1, 0.25]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "ends before the number of faces"),
        ("name\n", "ends before the number of faces"),
        ("name\nmany\n", ":2 has 'many' where the number of faces belongs"),
        ("name\n1.5\n1 2 3 4 0.5\n", ":2 has '1.5' where"),
        ("name\n2\n1 2 3 4 0.5\n", ":2 says 2 faces, but 1 follow"),
        ("name\n\n1\n1 2 3 4 0.5\n1 2 3 4 0.5\n", ":3 says 1 faces, but 2 follow"),
        ("name\n-1\n", ":2 says -1 faces, but 0 follow"),
        ("name\n2\n1 2 3 4 0.5\n\n1 2 3 4\n", ":5 has '1 2 3 4' instead of x y w h score"),
        ("name\n2\n1 2 3 4 0.5 6\n1 2 3 4\n", ":3 has '1 2 3 4 0.5 6' instead"),
        ("name\n1\n1 2 three 4 0.5\n", ":3 has '1 2 three 4 0.5' instead"),
        ("name\n1\n1 2 nan 4 0.5\n", ":3 has '1 2 nan 4 0.5' instead"),
        ("name\n1\n1 2 3 4 inf\n", ":3 has '1 2 3 4 inf' instead"),
        ("name\n1\n1 2 -3 4 0.5\n", ":3 has a box of negative width or height"),
        (b"name\n\xff\xfe\x00\n", ":2 has '\\udcff\\udcfe\\x00' where the number of faces belongs"),
    ],
)
def test_malformed(text: str | bytes, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_widerface_predictions(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(path)) and problem in message and "\n" not in message


def test_a_name_that_is_no_text_reads_back(tmp_path: Path) -> None:
    faces = Faces(np.array([[1, 2, 3, 4]], np.float32), np.array([0.25], np.float32))
    name = "0--Parade/broken\udcff.jpg"
    write_widerface_predictions(tmp_path, {name: faces})
    (path,) = tmp_path.rglob("*.txt")
    assert path.read_bytes().startswith(b"broken\xff\n")
    for names in (None, [name]):
        (read,) = read_widerface_predictions(tmp_path, names).items()
        assert read[0] == name and read[1].boxes.tolist() == faces.boxes.tolist()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of predictions"):
        read_widerface_predictions(tmp_path / "none")
    with pytest.raises(DataError, match="holds no predictions"):
        read_widerface_predictions(tmp_path)
    write(tmp_path, "name\n0\n")
    assert set(read_widerface_predictions(tmp_path, ["a/b.jpg", ID])) == {ID}


@pytest.mark.parametrize(
    "image_id", ["../a.jpg", "/a.jpg", "a/../../b.jpg", "C:/a.jpg", "..\\a.jpg", "", "."]
)
def test_no_path_leaves_the_folder(image_id: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of"):
        write_widerface_predictions(tmp_path, {image_id: EMPTY})
    with pytest.raises(DataError, match="leads out of"):
        read_widerface_predictions(tmp_path, [image_id])
    assert not list(tmp_path.iterdir())


def test_two_images_of_one_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    faces = {
        f"a/b{ending}": Faces(np.array([[0, 0, i, i]], np.float32), np.ones(1, np.float32))
        for i, ending in enumerate((".jpg", ".png", ".webp"), 1)
    }
    write_widerface_predictions(tmp_path, faces)
    files = ["b.png.txt", "b.txt", "b.webp.txt"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == files
    assert (tmp_path / "a/b.txt").read_text() == "b\n1\n0 0 1 1 1\n"
    assert len(caplog.messages) == 2
    assert "'a/b.jpg' and 'a/b.png' have one name but for the ending" in caplog.messages[0]
    for names in (None, list(faces), ["a/b.png"]):
        back = read_widerface_predictions(tmp_path, names)
        assert set(back) == set(names or faces)
        assert all((back[one].boxes == faces[one].boxes).all() for one in back)


def test_two_images_of_one_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a/b\.jpg' and 'a/b' would share"):
        write_widerface_predictions(tmp_path, {"a/b.jpg": EMPTY, "a/b": EMPTY})


def test_coco_results(tmp_path: Path, random_set: Callable) -> None:
    predictions, _ = random_set(0)
    path = tmp_path / "new" / "predictions.json"
    write_coco_predictions(path, predictions)
    results = json.loads(path.read_text())
    assert len(results) == sum(map(len, predictions.values()))
    faces = predictions["2--Event/image_2.jpg"]
    mine = [result for result in results if result["image_id"] == "2--Event/image_2.jpg"]
    x1, y1, x2, y2 = faces.boxes[0].tolist()
    assert mine[0]["bbox"] == [x1, y1, x2 - x1, y2 - y1]
    assert [result["score"] for result in mine] == faces.scores.tolist()
    assert {result["category_id"] for result in results} == {1}
