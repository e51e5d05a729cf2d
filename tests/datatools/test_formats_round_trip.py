"""Annotation goes through every pair of formats and comes back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facezoo.data.annotations import FORMATS
from facezoo.data.annotations.annotation_file import AnnotationFile
from facezoo.data.datasets import CocoFaces, WiderFace, YoloFaces
from facezoo.datatools.convert import convert, place_images

SIZES_HW = {"5--Car/b c.jpg": (480, 641), "5--Car/a.png": (77, 31), "top.jpg": (768, 1024)}
PLACES = {
    "widerface": "wider_face_split/wider_face_val_bbx_gt.txt",
    "retinaface": "label.txt",
    "coco": "faces.json",
    "yolo": "labels/val",
    "yolo-landmarks": "labels/val",
}
KEPT = {
    "widerface": {"ignore", "attributes"},
    "retinaface": {"landmarks", "occluded"},
    "coco": {"landmarks", "occluded", "ignore", "attributes"},
    "yolo": set(),
    "yolo-landmarks": {"landmarks"},
}
PAIRS = [(one, other) for one in FORMATS for other in FORMATS]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, size_hw in SIZES_HW.items():
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((*size_hw, 3), np.uint8))
    return folder


def draw(seed: int, faces: list[int], with_attributes: bool) -> AnnotationFile:
    """Returns random annotation within the images, with ``faces`` of each."""
    generator = np.random.default_rng(seed)
    sizes = np.repeat(np.array(list(SIZES_HW.values()))[:, ::-1], faces, axis=0)
    total = sum(faces)
    corners = np.sort(generator.uniform(0, 1, (total, 2, 2)), axis=1) * sizes[:, None]
    boxes = corners.reshape(total, 4)
    # Half of all boxes are whole numbers, as the official ones.
    boxes = np.where(generator.random((total, 1)) < 0.5, np.floor(boxes), boxes)
    landmarks = generator.uniform(0, 1, (total, 5, 2)) * sizes[:, None]
    known = generator.random((total, 5, 1)) < generator.choice([0, 0.7, 1], (total, 1, 1))
    ignore = generator.random(total) < 0.3
    attributes = generator.integers(0, 3, (total, 6)).astype(np.int8)
    attributes[:, 3] = ignore
    return AnnotationFile(
        names=list(SIZES_HW),
        starts=np.cumsum([0, *faces]),
        boxes=boxes,
        ignore=ignore,
        landmarks=np.where(known, landmarks, np.nan).astype(np.float32),
        attributes=attributes if with_attributes else None,
        occluded=(generator.random((total, 5)) < 0.3) & known[..., 0],
        sizes_hw=np.array(list(SIZES_HW.values()), np.int32),
    )


def written(content: AnnotationFile, name: str, folder: Path, images: Path) -> Path:
    """Returns where a content lies in a format, images beside it where the layout has them."""
    place = folder / PLACES[name]
    place.parent.mkdir(parents=True, exist_ok=True)
    layout = FORMATS[name].images_folder(place)
    if layout is not None:
        place_images(images, content.names, layout)
    FORMATS[name].write(content, place)
    return place


def by_image(content: AnnotationFile) -> dict[str, dict[str, np.ndarray | None]]:
    fields = ("boxes", "landmarks", "occluded", "ignore", "attributes")
    values = {field: getattr(content, field) for field in fields}
    return {
        name: {field: None if v is None else v[list(rows)] for field, v in values.items()}
        for name, rows in content.rows()
    }


@pytest.mark.parametrize("name, other", PAIRS)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    faces=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    with_attributes=st.booleans(),
)
def test_there_and_back(
    images: Path, name: str, other: str, seed: int, faces: list[int], with_attributes: bool
) -> None:
    content = draw(seed, faces, with_attributes)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        first = written(content, name, folder / "first", images)
        there, back = folder / "there" / PLACES[other], folder / "back" / PLACES[name]
        done = convert(first, name, other, there, images=images)
        again = convert(there, other, name, back, images=images)
        assert (done.images, done.faces) == (again.images, again.faces) == (3, sum(faces))
        result = by_image(FORMATS[name].read(back, images))
    wanted = by_image(content)
    kept = KEPT[name] & KEPT[other]
    assert result.keys() == wanted.keys()
    for image, truth in wanted.items():
        found = result[image]
        np.testing.assert_allclose(found["boxes"], truth["boxes"], atol=0.001)
        if "landmarks" in kept:
            np.testing.assert_allclose(found["landmarks"], truth["landmarks"], atol=0.001)
        else:
            assert np.isnan(found["landmarks"]).all()
        wanted_occluded = truth["occluded"] if "occluded" in kept else False
        assert (found["occluded"] == wanted_occluded).all()
        assert (found["ignore"] == (truth["ignore"] if "ignore" in kept else False)).all()
        if "attributes" in kept and with_attributes and sum(faces):
            assert np.array_equal(found["attributes"], truth["attributes"])


def counted(content: AnnotationFile) -> dict[str, tuple[int, int]]:
    """Returns of what can be lost how much of how much there is."""
    known = ~np.isnan(content.landmarks[..., 0])
    total = len(content.boxes)
    return {
        "has no landmarks": (int(known.any(axis=1).sum()), total),
        "hidden landmark": (int(content.occluded.sum()), int(known.sum())),
        "has no attributes": (total, total),
        "face to ignore": (int(content.ignore.sum()), total),
    }


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_lost_is_said_with_numbers(images: Path, tmp_path: Path, name: str) -> None:
    content = draw(1, [9, 9, 9], True)
    source = written(content, "coco", tmp_path, images)
    lost = convert(source, "coco", name, tmp_path / "out" / PLACES[name], images=images).lost
    kinds = ("landmarks", "occluded", "attributes", "ignore")
    wanted = {
        phrase: numbers
        for kind, (phrase, numbers) in zip(kinds, counted(content).items(), strict=True)
        if kind not in KEPT[name]
    }
    assert len(lost) == len(wanted)
    for sentence, (phrase, (number, total)) in zip(lost, wanted.items(), strict=True):
        assert sentence.startswith(f"{name} has no ") and phrase in sentence and number
        assert f" {number} of {total} " in sentence


def test_yolo_cuts_what_lies_outside(images: Path, tmp_path: Path) -> None:
    content = draw(2, [3, 0, 0], False)
    content.boxes[0] = [-10, 20, 100.5, 600]
    content.boxes[1] = [50, 60, 40, 80]  # negative width, as one of the official file
    content.landmarks[:] = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    content.landmarks[2, 1] = [-0.5, 7]
    source = written(content, "coco", tmp_path, images)
    out = tmp_path / "out/labels/val"
    lost = convert(source, "coco", "yolo-landmarks", out, images=images).lost
    assert any("2 of 3 were cut" in sentence for sentence in lost)
    assert any("1 of 15 lie outside" in sentence for sentence in lost)
    dataset = YoloFaces(tmp_path / "out/images/val", out)
    truth = dataset.truth(1)
    assert dataset.image_id(1) == "5--Car/b c.jpg"
    np.testing.assert_allclose(truth.boxes[0], [0, 20, 100.5, 480], atol=1e-4)
    assert truth.ignore.tolist() == [False, True, False] and truth.boxes[1, 0] == truth.boxes[1, 2]
    unknown = np.isnan(dataset.annotations.landmarks[..., 0])
    assert np.argwhere(unknown).tolist() == [[2, 1]]


def test_the_data_set_classes_read_the_results(images: Path, tmp_path: Path) -> None:
    content = draw(3, [4, 3, 2], True)
    places = {name: tmp_path / name / PLACES[name] for name in ("widerface", "coco", "yolo")}
    source = written(content, "coco", tmp_path, images)
    for name, place in places.items():
        convert(source, "coco", name, place, images=images)
    widerface = WiderFace(tmp_path / "widerface", "val")
    coco = CocoFaces(images, places["coco"])
    yolo = YoloFaces(tmp_path / "yolo/images/val", places["yolo"])
    for dataset in (widerface, coco, yolo):
        found = {dataset.image_id(i): dataset[i] for i in range(len(dataset))}
        for name, rows in content.rows():
            np.testing.assert_allclose(found[name].boxes, content.boxes[list(rows)], atol=0.001)
            assert found[name].image.shape[:2] == SIZES_HW[name]
    assert np.array_equal(widerface.annotations.attributes, content.attributes)
    np.testing.assert_allclose(coco.annotations.landmarks, content.landmarks, atol=0.001)


def test_yolo_round_trip_keeps_the_sizes_of_turned_photographs(tmp_path: Path) -> None:
    """A photograph that EXIF turns by 90 degrees is annotated, and read, upright."""
    from PIL import Image

    folder = tmp_path / "images" / "val"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(folder / "turned.jpg", exif=exif)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/turned.txt").write_text("0 0.5 0.5 1 1\n")
    sample = YoloFaces(folder, tmp_path / "labels")[0]
    assert sample.image.shape[:2] == (60, 40)
    assert sample.boxes.tolist() == [[0, 0, 40, 60]]
