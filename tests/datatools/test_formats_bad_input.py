"""Each fault in an annotation file is one sentence that says where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.data.annotations import FORMATS
from facezoo.datatools.convert import convert
from facezoo.errors import DataError, FacezooError

SPLIT = "wider_face_split/wider_face_val_bbx_gt.txt"
PLACES = {"widerface": SPLIT, "retinaface": "label.txt", "coco": "faces.json"}
WIDERFACE = "a.png\n1\n1 2 3 4 0 0 0 0 0 0\nb.png\n0\n0 0 0 0 0 0 0 0 0 0\n"
FLAGGED = " ".join(["5 6 0"] * 5)
RETINAFACE = f"# a.png\n1 2 3 4 {FLAGGED} 0.5\n# b.png\n"
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "face"}],
    }
)
TEXTS = {"widerface": WIDERFACE, "retinaface": RETINAFACE, "coco": COCO}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((40, 60, 3), np.uint8))
    return folder


def laid(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / PLACES[name]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("change", ["none", "windows", "mark", "both"])
def test_line_ends_and_byte_order_mark_do_no_harm(tmp_path: Path, name: str, change: str) -> None:
    data = TEXTS[name].encode()
    if change in ("windows", "both"):
        data = data.replace(b"\n", b"\r\n")
    if change in ("mark", "both"):
        data = b"\xef\xbb\xbf" + data
    content = FORMATS[name].read(laid(tmp_path, name, data)).strict()
    assert list(content.names) == ["a.png", "b.png"]
    assert content.boxes.tolist() == [[1, 2, 4, 6]] and content.starts.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "name, old, new, said",
    [
        ("widerface", "1 2 3 4 0", "1 2 3 4", r"gt\.txt:3: a face has 9 values where 10 belong"),
        ("widerface", "1 2 3 4 0", "1 2 3 4 0 0", r"gt\.txt:3: a face has 11 values"),
        ("widerface", "1 2 3 4", "1 2 x 4", r"gt\.txt:3: 'x' is no finite number"),
        ("widerface", "b.png", "a.png", r"gt\.txt:4: the image a\.png is annotated a second time"),
        ("widerface", "b.png", "../b.png", r"gt\.txt:4: .* leads out of its folder"),
        ("widerface", "a.png\n1\n", "a.png\n9\n", r"gt\.txt:2: .* says 9 faces, but 1 lines"),
        ("retinaface", "1 2 3 4", "1 2", r"label\.txt:2: a face has 18 values where 20 or 19"),
        ("retinaface", "1 2 3 4", "1 2 3 4 5", r"label\.txt:2: a face has 21 values"),
        ("retinaface", "1 2 3 4", "1 2 nan 4", r"label\.txt:2: 'nan' is no finite number"),
        ("retinaface", "# b.png", "# a.png", r"label\.txt:3: .*a\.png is annotated a second time"),
        ("retinaface", "# a.png", "", r"label\.txt:2: a face stands before the first image"),
        ("coco", '"image_id": 1, ', "", r"annotations\[0\]: the annotation has no image_id"),
        ("coco", "[1, 2, 3, 4]", "[1, 2, 3]", r"annotations\[0\]: bbox .*not 4 finite numbers"),
        ("coco", "b.png", "a.png", r"images\[1\]: the image a\.png is annotated a second time"),
        ("coco", "}]}", "}]", "is no valid JSON"),
    ],
)
def test_a_fault_is_one_sentence(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    path = laid(tmp_path, name, TEXTS[name].replace(old, new))
    with pytest.raises(DataError, match=said) as error:
        FORMATS[name].read(path).strict()
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_of_several_categories_one_has_to_be_face(tmp_path: Path) -> None:
    text = COCO.replace('"name": "face"}', '"name": "head"}, {"id": 2, "name": "car"}')
    with pytest.raises(DataError, match=r"2 categories \(head, car\) and no .* named 'face'"):
        FORMATS["coco"].read(laid(tmp_path, "coco", text))


@pytest.mark.parametrize("name", ["widerface", "retinaface", "coco"])
def test_an_image_that_is_not_there(tmp_path: Path, images: Path, name: str) -> None:
    (images / "b.png").unlink()
    path = laid(tmp_path, name, TEXTS[name])
    for to, out in (("coco", "out.json"), ("yolo", "new/labels")):
        with pytest.raises(DataError, match=r"b\.png that .* annotates does not exist; add it"):
            convert(path, name, to, tmp_path / out, images=images)
    with pytest.raises(DataError, match=r"1 of 2 annotated images are not in .* as b\.png"):
        convert(path, name, "widerface", tmp_path / "new" / SPLIT, images=images)
    assert not (tmp_path / "new").exists()


def test_an_image_that_is_none(tmp_path: Path, images: Path) -> None:
    (images / "b.png").write_bytes(b"no picture")
    path = laid(tmp_path, "retinaface", RETINAFACE)
    with pytest.raises(DataError, match=r"The size of the image .*b\.png cannot be read"):
        convert(path, "retinaface", "coco", tmp_path / "out.json", images=images)


def refused(said: str, *arguments: object, **options: object) -> None:
    with pytest.raises(FacezooError, match=said) as error:
        convert(*arguments, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_wrong_requests(tmp_path: Path, images: Path) -> None:
    path = laid(tmp_path, "retinaface", RETINAFACE)
    out = tmp_path / "out.json"
    refused("name the format coco, as docs/formats", path, "retinaface", "cvat", out)
    refused(r"no format 'retina' \(did you mean 'retinaface'\?\)", path, "retina", "coco", out)
    refused("coco needs the sizes of the images; name --images", path, "retinaface", "coco", out)
    refused("nowhere does not exist", path, "retinaface", "coco", out, tmp_path / "nowhere")
    refused("layout of widerface includes", path, "retinaface", "widerface", tmp_path / "x" / SPLIT)
    refused("end --out in wider_face_split", path, "retinaface", "widerface", tmp_path / "x.txt")
    refused("end --out in labels/val", path, "retinaface", "yolo", tmp_path / "x", images)
    refused("label.txt exists already", path, "retinaface", "retinaface", path)
    refused("no.txt does not exist", tmp_path / "no.txt", "retinaface", "retinaface", out)
    laid(tmp_path, "widerface", WIDERFACE)
    refused(rf"is a folder.*such as .*{re.escape(SPLIT)}\.", tmp_path, "widerface", "coco", out)
    refused("name the folder of the images", images, "yolo", "coco", out)
    (tmp_path / "new/images").mkdir(parents=True)
    (tmp_path / "new/images/old.png").touch()
    refused("images exists already", path, "retinaface", "yolo", tmp_path / "new/labels", images)
    assert not out.exists() and not (tmp_path / "new/labels").exists()


def test_images_of_one_name(tmp_path: Path, images: Path) -> None:
    cv2.imwrite(str(images / "a.jpg"), np.zeros((4, 6, 3), np.uint8))
    path = laid(tmp_path, "retinaface", RETINAFACE + "# a.jpg\n")
    out = tmp_path / "new/labels"
    refused("a.png and a.jpg have the same labels", path, "retinaface", "yolo", out, images)
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


@pytest.mark.parametrize(
    "name, to_format, said",
    [
        ("", "coco", "the name of an image is missing"),
        ("a\\nb.png", "retinaface", r"the image name 'a\\nb\.png' has spaces .* of control"),
        (" a.png", "widerface", "the image name ' a.png' has spaces at its ends"),
        ("a.gif", "widerface", r"'a\.gif' ends in none of \.bmp, \.jpeg, .*, which widerface is"),
        ("a", "yolo", "'a' ends in none of .bmp, "),
    ],
)
def test_names_that_a_format_cannot_hold(
    tmp_path: Path, images: Path, name: str, to_format: str, said: str
) -> None:
    text = COCO.replace('"file_name"', '"width": 60, "height": 40, "file_name"')
    path = laid(tmp_path, "coco", text.replace("a.png", name))
    refused(said, path, "coco", to_format, tmp_path / "labels", images)
