"""Every kind of fault is planted in a clean data set, and found, and nothing else."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.data.annotations import open_annotation_files
from facezoo.data.datasets import SyntheticFaces, WiderFace
from facezoo.data.images import read_image
from facezoo.datatools.inspection import KINDS, inspect, write_repaired
from facezoo.datatools.inspection.image_checks import look_at

EVENT = "0--Parade"
TRAIN, VAL = 13, 3


class Root:
    """A data set in the official layout whose annotation is written from lists."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = {"train": [], "val": []}
        self.labels = []
        self.expected = Counter()

    def add(self, split, name, data, rows, landmarks=None):
        path = self.path(split, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.entries[split].append((name, [[*row, 0, 0, 0, 0, 0, 0] for row in rows]))
        if landmarks is not None:
            self.labels.append(
                (name, [[*row, *one] for row, one in zip(rows, landmarks, strict=True)])
            )

    def path(self, split, name):
        return self.folder / f"WIDER_{split}" / "images" / name

    def expect(self, title, kind, name):
        self.expected[title, kind, name] += 1

    def write(self, wrong_counts=()):
        for split, entries in self.entries.items():
            lines = []
            for name, rows in entries:
                count = len(rows) + (3 if name in wrong_counts else 0)
                lines += [name, str(count), *(" ".join(map(str, row)) for row in rows)]
            path = self.folder / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
        lines = [
            line
            for name, rows in self.labels
            for line in (f"# {name}", *(" ".join(map(str, row)) for row in rows))
        ]
        path = self.folder / "retinaface_labels" / "val" / "label.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")


def clean_synthetic(folder):
    """Drawn images with at least one face, with whole numbers as boxes."""
    root, drawn = Root(folder), SyntheticFaces(3, 60, image_size=96, face_sizes=(12, 60))
    samples = [sample for sample in (drawn[i] for i in range(60)) if len(sample.boxes)]
    for number, sample in enumerate(samples[: TRAIN + VAL]):
        split = "train" if number < TRAIN else "val"
        _, data = cv2.imencode(".jpg", sample.image)
        boxes = sample.boxes.round().astype(int)
        rows = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
        flagged = np.concatenate([sample.landmarks, 0 * sample.landmarks[..., :1]], axis=2)
        flagged[np.isnan(flagged)] = -1
        name, landmarks = f"{EVENT}/{number}.jpg", flagged.reshape(-1, 15).tolist()
        root.add(split, name, data.tobytes(), rows, landmarks if split == "val" else None)
    return root


def clean_photographs(folder, shared_data):
    """Photographs of mini val all of whose boxes have an area, as train and val."""
    mini = shared_data / "widerface_mini"
    dataset = WiderFace(mini, "val", "retinaface_labels/val/label.txt")
    root, number = Root(folder), 0
    for index in range(len(dataset)):
        truth, name = dataset.truth(index), dataset.image_id(index)
        boxes = truth.boxes
        if not 1 <= len(boxes) <= 30 or not (boxes[:, 2:] > boxes[:, :2]).all():
            continue
        data = (mini / "WIDER_val" / "images" / name).read_bytes()
        rows = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(int)
        unknown = [[-1.0] * 15] * len(rows)
        split = "train" if number < TRAIN else "val"
        root.add(split, name, data, rows.tolist(), unknown if split == "val" else None)
        number += 1
        if number == TRAIN + VAL:
            return root
    raise AssertionError("mini val has too few such photographs")


def plant(root):
    """Plants one fault or more of each kind that images in a folder can have."""
    train = root.entries["train"]
    names = [name for name, _ in train]
    paths = [root.path("train", name) for name in names]

    def plant_in(number, *kinds):
        for kind in kinds:
            root.expect("train", kind, names[number])
        return train[number][1]

    paths[0].unlink()
    plant_in(0, "missing_image")
    paths[1].write_bytes(b"This is no picture.")
    plant_in(1, "unreadable_image")
    paths[2].write_bytes(paths[2].read_bytes()[: paths[2].stat().st_size * 6 // 10])
    plant_in(2, "truncated_image")
    shutil.copy(paths[3], paths[4])
    train[4][1][:] = [list(row) for row in train[3][1]]
    plant_in(4, "duplicate_bytes")
    paths[6].write_bytes(cv2.imencode(".png", read_image(paths[5])[..., ::-1])[1].tobytes())
    train[6][1][:] = [list(row) for row in train[5][1]]
    plant_in(6, "duplicate_pixels")
    val_name, val_rows = root.entries["val"][0]
    shutil.copy(root.path("val", val_name), paths[7])
    train[7][1][:] = [list(row) for row in val_rows]
    plant_in(7, "leak")
    zeros = [0] * 6
    rows = plant_in(8, "box_without_area", "box_without_area")
    rows += [[10, 10, 0, 5, *zeros], [10, 10, -2, 5, *zeros]]
    plant_in(9, "box_without_area", "only_without_area")[:] = [[0, 0, 0, 0, *zeros]]
    rows = plant_in(10, "box_outside", "box_partly_outside", "duplicate_box")
    rows += [[5000, 10, 9, 9, *zeros], [-20, 10, 40, 40, *zeros], list(rows[0])]
    plant_in(11, "annotated_twice")
    train.append((names[11], [[1, 2, 7, 8, *zeros]]))
    plant_in(12, "malformed", "wrong_count").append([1, 2, "x", 4, *zeros])
    stray = root.path("train", f"{EVENT}/stray.jpg")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(cv2.imencode(".png", np.full((9, 9, 3), 7, np.uint8))[1].tobytes())
    root.expect("train", "unannotated_image", f"{EVENT}/stray.jpg")
    plant_landmarks(root)
    root.write(wrong_counts=(names[12],))


def plant_landmarks(root):
    name, rows = root.labels[1]
    x, y, width = rows[0][:3]
    rows[0][4:7] = [x + 1.3 * width, y + 1.0, 0.0]
    rows[0][7:10] = [-9.5, y + 1.0, 0.0]
    # A little outside the box is no fault: the nose of a profile is there.
    rows[0][10:13] = [x + 1.2 * width, y + 1.0, 0.0]
    for kind in ("landmark_outside_box", "landmark_outside_image"):
        root.expect("val, landmarks", kind, name)


def found(inspections):
    return Counter(
        (one.file.title, finding.kind, finding.image)
        for one in inspections
        for finding in one.findings
    )


def check_planted(root, tmp_path):
    """Finds what was planted, and nothing in the repaired copy, which the strict reader takes."""
    root.write()
    files = open_annotation_files(root.folder)
    assert found(inspect(files)) == Counter()
    plant(root)
    inspections = inspect(open_annotation_files(root.folder))
    assert found(inspections) == root.expected
    before = {path: path.read_bytes() for path in root.folder.rglob("*.txt")}
    fixed = tmp_path / "fixed"
    write_repaired(inspections, root.folder, fixed)
    assert before == {path: path.read_bytes() for path in root.folder.rglob("*.txt")}
    for split in ("train", "val"):
        (fixed / f"WIDER_{split}").mkdir()
        images = root.folder / f"WIDER_{split}" / "images"
        shutil.copytree(images, fixed / f"WIDER_{split}" / "images")
    left = inspect(open_annotation_files(fixed))
    assert {finding.kind for one in left for finding in one.findings} == {"unannotated_image"}
    kept = WiderFace(fixed, "train")
    removed = [0, 1, 2, 4, 6, 7, 9]
    names = [name for name, _ in root.entries["train"][:TRAIN]]
    expected = [name for number, name in enumerate(names) if number not in removed]
    assert [kept.image_id(i) for i in range(len(kept))] == expected
    return inspections, WiderFace(fixed, "val", "retinaface_labels/val/label.txt")


def test_planted_in_drawn_images(tmp_path):
    root = clean_synthetic(tmp_path / "data")
    _, val = check_planted(root, tmp_path)
    planted = {kind for _, kind, _ in root.expected}
    # These have tests of their own.
    assert set(KINDS) - planted == {"missing_folder", "wrong_size", "too_large_image"}
    assert np.isnan(val[1].landmarks[0, :2]).all() and not np.isnan(val[1].landmarks[0, 2]).any()


@pytest.mark.slow
def test_planted_in_photographs(tmp_path, shared_data):
    check_planted(clean_photographs(tmp_path / "data", shared_data), tmp_path)


@pytest.mark.slow
def test_known_flaws_of_the_official_annotation(shared_data):
    train, val = inspect(open_annotation_files(shared_data / "annotations_full"))
    flaws = {kind: count for kind, count in train.counts().items() if count}
    assert flaws == {"box_without_area": 31, "only_without_area": 4, "duplicate_box": 3}
    flaws = {kind: count for kind, count in val.counts().items() if count}
    assert flaws == {"box_without_area": 11, "only_without_area": 4, "duplicate_box": 1}
    negative = [one for one in val.findings if "-2 x 23" in one.message]
    assert [one.image for one in negative] == [
        "39--Ice_Skating/39_Ice_Skating_iceskiing_39_583.jpg"
    ]
    (twice,) = (one for one in val.findings if one.kind == "duplicate_box")
    assert twice.image == "21--Festival/21_Festival_Festival_21_604.jpg"
    line = int(twice.where.rpartition(":")[2])
    lines = val.file.path.read_text().split("\n")
    assert (
        lines[line - 1].split()[:4] == lines[int(twice.message.rpartition(":")[2]) - 1].split()[:4]
    )


def test_where_and_what(tmp_path):
    root = clean_synthetic(tmp_path / "data")
    name = root.entries["train"][0][0]
    root.entries["train"][0][1][:] = [
        [4, 5, 6, -2, 0, 0, 0, 0, 0, 0],
        [9, 9, 8, 8, 0, 0, 0, 0, 0, 0],
    ]
    root.write()
    files = open_annotation_files(root.folder, "train")
    assert [file.title for file in files] == ["train"]
    (inspection,) = inspect(files)
    assert inspection.images_read == TRAIN
    path = root.folder / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    assert inspection.as_json()["findings"] == [
        {
            "kind": "box_without_area",
            "where": f"{path}:3",
            "image": name,
            "message": "the box is 6 x -2",
            "change": "face removed",
        }
    ]
    assert json.loads(json.dumps(inspection.as_json()))["counts"]["box_without_area"] == 1


def test_a_folder_without_images_is_one_finding(tmp_path):
    root = clean_synthetic(tmp_path / "data")
    root.write()
    shutil.rmtree(root.folder / "WIDER_train")
    (inspection,) = inspect(open_annotation_files(root.folder, "train"))
    (finding,) = inspection.findings
    assert finding.kind == "missing_folder" and f"none of the {TRAIN}" in finding.message


def test_the_layout_of_retinaface(tmp_path):
    images = tmp_path / "train" / "images" / EVENT
    images.mkdir(parents=True)
    cv2.imwrite(str(images / "a.png"), np.zeros((20, 30, 3), np.uint8))
    label = tmp_path / "train" / "label.txt"
    label.write_text("".join(f"# {EVENT}/{name}.png\n2 2 9 9{' -1' * 15}\n" for name in "ab"))
    for root in (tmp_path, label):
        (inspection,) = inspect(open_annotation_files(root))
        (finding,) = inspection.findings
        assert (finding.kind, finding.where) == ("missing_image", f"{label}:3")
        assert inspection.file.split == "train"


def test_a_lone_file_is_checked_as_text(tmp_path):
    root = clean_synthetic(tmp_path / "data")
    root.write()
    lone = tmp_path / "wider_face_train_bbx_gt.txt"
    shutil.copy(root.folder / "wider_face_split" / lone.name, lone)
    (inspection,) = inspect(open_annotation_files(lone))
    assert inspection.findings == [] and inspection.images_read == 0
    assert (inspection.file.title, inspection.file.split) == (lone.name, "train")


def test_splits_without_images_share_those_of_one_name(tmp_path):
    text = "0--Parade/a.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n0--Parade/{}.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    for split, other in (("train", "b"), ("val", "c")):
        (tmp_path / f"wider_face_{split}_bbx_gt.txt").write_text(text.format(other))
    assert found(inspect(open_annotation_files(tmp_path))) == Counter(
        {("train", "leak", "0--Parade/a.jpg"): 1}
    )


def test_each_image_is_read_once_and_none_is_kept(tmp_path, monkeypatch):
    root = clean_synthetic(tmp_path / "data")
    root.write()
    seen = []

    def watched(paths):
        for image in look_at(paths):
            seen.append((image, len(paths)))
            yield image

    monkeypatch.setattr("facezoo.datatools.inspection.check.look_at", watched)
    inspect(open_annotation_files(root.folder, "val"))
    assert [total for _, total in seen] == [VAL] * VAL  # label.txt names the same images
    for image, _ in seen:
        assert image.size_hw == (96, 96) and len(image.of_pixels) == 16


def test_the_docs_name_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    table = {
        word
        for line in page.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line)
    }
    assert table >= set(KINDS)
