import logging
import pickle

import cv2
import numpy as np
import pytest

from facezoo.data.datasets import WiderFace
from facezoo.errors import DataError

OFFICIAL = """\
0--Parade/a.jpg
4
10 20 30 40 2 1 0 0 2 1
1 2 3 4 0 0 0 1 0 0
5 6 0 7 0 0 0 0 0 0
50.5 60 -2 8 1 0 1 0 1 0
1--Hands/b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Hands/c.jpg
2
7 8 9 10 0 0 0 0 0 0
7 8 9 10 1 0 0 0 0 0
"""
NONE = " ".join(["-1.0"] * 15)
LABELS = f"""\
# 1--Hands/c.jpg
7 8 9 10 1 1 0 2 2 0 3 3 -1 4 4 0 5 5 0 0.9
7 8 9 10 6 6 0 7 7 0 8 8 0 9 9 0 10 10 0 0.9
# 0--Parade/a.jpg
1 2 3 4 {NONE} 0.1
10 20 30 40 -3.5 22 0 30 22 1 20 30 0 15 50 0 28 50 0 0.8
99 20 30 40 {NONE} 0.1
# 2--Gone/d.jpg
1 1 1 1 {NONE} 0.1
"""


def read_plainly(path):
    """The official format line by line: faces (ten numbers each) by name."""
    lines = iter(path.read_text().split("\n"))
    faces = {}
    for name in lines:
        if name.strip():
            count = int(next(lines))
            rows = [[float(x) for x in next(lines).split()] for _ in range(max(count, 1))]
            faces[name.strip()] = rows[:count]
    return faces


def read_labels_plainly(path):
    """Landmarks (five, None where unknown) by name and box."""
    landmarks = {}
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            name = line[2:]
        else:
            numbers = [float(x) for x in line.split()]
            points = [numbers[i : i + 3] for i in range(4, 19, 3)]
            found = [None if flag == -1 else (x, y) for x, y, flag in points]
            landmarks.setdefault((name, *numbers[:4]), []).append(found)
    return landmarks


@pytest.fixture
def root(tmp_path):
    (tmp_path / "wider_face_split").mkdir()
    (tmp_path / "WIDER_train" / "images" / "0--Parade").mkdir(parents=True)
    (tmp_path / "WIDER_train" / "images" / "1--Hands").mkdir()
    for name in ("0--Parade/a.jpg", "1--Hands/b.jpg"):
        picture = np.zeros((80, 100, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "WIDER_train" / "images" / name), picture)
    write(tmp_path, OFFICIAL)
    (tmp_path / "label.txt").write_text(LABELS)
    return tmp_path


def write(root, text):
    (root / "wider_face_split" / "wider_face_train_bbx_gt.txt").write_bytes(text.encode())


def test_sample(root):
    dataset = WiderFace(root)
    assert len(dataset) == 3 and dataset.num_landmarks == 5
    sample = dataset[0]
    assert sample.image.shape == (80, 100, 3)
    assert sample.boxes.dtype == np.float32 and sample.boxes.tolist() == [
        [10, 20, 40, 60],
        [1, 2, 4, 6],
    ]
    assert sample.ignore.tolist() == [False, True]
    assert sample.attributes.dtype == np.int8 and sample.attributes[0].tolist() == [
        2,
        1,
        0,
        0,
        2,
        1,
    ]
    assert sample.landmarks.shape == (2, 5, 2) and np.isnan(sample.landmarks).all()
    assert sample.labels.dtype == np.int64 and sample.labels.tolist() == [0, 0]
    assert sample.image_id == "0--Parade/a.jpg" == dataset.image_id(0)
    assert sample.path == str(root / "WIDER_train" / "images" / "0--Parade" / "a.jpg")


def test_image_without_faces(root):
    sample, truth = WiderFace(root)[1], WiderFace(root).truth(1)
    assert sample.boxes.shape == (0, 4) and sample.landmarks.shape == (0, 5, 2)
    assert sample.attributes.shape == (0, 6)
    assert truth.boxes.shape == (0, 4) and truth.ignore.shape == (0,)


def test_truth_keeps_the_rows_of_the_file(root):
    truth = WiderFace(root).truth(0)
    assert truth.boxes.dtype == np.float64 and truth.ignore.tolist() == [False, True, True, True]
    assert truth.boxes[2].tolist() == [5, 6, 5, 6]
    assert truth.boxes[3].tolist() == [50.5, 60, 50.5, 60]


def test_what_is_left_out_is_counted_and_said(root, caplog):
    with caplog.at_level(logging.INFO):
        dataset = WiderFace(root)
    wanted = {"images": 3, "faces": 6, "dropped": 2, "ignored": 1, "with_landmarks": 0}
    assert dataset.counts == wanted
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "dropped 2 of 6 faces" in warnings[0]


def test_sample_may_be_changed_by_its_owner(root):
    dataset = WiderFace(root)
    dataset[0].boxes[:] = 0
    dataset.truth(0).boxes[:] = 0
    assert dataset[0].boxes[0, 2] == 40 and dataset.truth(0).boxes[0, 2] == 40


def test_landmarks_are_matched_by_box(root, caplog):
    dataset = WiderFace(root, landmarks="label.txt")
    first = dataset[0]
    # The coordinate is outside the picture, the flag says that it is known.
    assert first.landmarks[0].tolist() == [[-3.5, 22], [30, 22], [20, 30], [15, 50], [28, 50]]
    assert np.isnan(first.landmarks[1]).all()
    twins = dataset.annotations.landmarks[4:]
    assert twins[0, 0].tolist() == [1, 1] and twins[1, 0].tolist() == [6, 6]
    assert np.isnan(twins[0]).tolist() == [[False] * 2] * 2 + [[True] * 2] + [[False] * 2] * 2
    assert dataset.counts["with_landmarks"] == 3
    assert dataset.counts["landmarks_unmatched"] == 2 and dataset.counts["faces_unmatched"] == 2
    assert "left out 2 of 6 rows" in caplog.text and "2 of 6 faces have no row" in caplog.text


def test_landmarks_by_absolute_path_without_confidence(root, tmp_path):
    lines = LABELS.splitlines()
    bare = [line if line.startswith("#") else line.rsplit(" ", 1)[0] for line in lines]
    path = tmp_path / "bare.txt"
    path.write_text("\n".join(bare))
    assert WiderFace(root, landmarks=path.resolve()).counts["with_landmarks"] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("10 20 30 40 2", "10.0 20.0 3e1 40 2"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", " \n") + "\n\n",
        lambda text: text.replace("0 0 0 0 0 0 0 0 0 0\n1--", "1--"),
    ],
    ids=["windows", "floats", "mark", "blanks", "no zeros"],
)
def test_spellings_of_one_annotation(root, change):
    wanted = WiderFace(root)
    write(root, change(OFFICIAL))
    dataset = WiderFace(root)
    assert [dataset.image_id(i) for i in range(3)] == [wanted.image_id(i) for i in range(3)]
    assert np.array_equal(dataset.annotations.boxes, wanted.annotations.boxes)
    assert np.array_equal(dataset.annotations.starts, wanted.annotations.starts)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("10 20 30", "10 nan 30", r"gt\.txt:3: 'nan' is no finite number"),
        ("10 20 30", "10 inf 30", r"gt\.txt:3: 'inf' is no finite number"),
        ("7 8 9 10 1", "7 8 x 10 1", r"gt\.txt:13: 'x' is no finite number"),
        ("7 8 9 10 1", "7 8 9 1", r"gt\.txt:13: a face has 9 values where 10"),
        ("7 8 9 10 1 0", "7 8 9 10 300 0", r"gt\.txt:13: an attribute is no small whole number"),
        ("7 8 9 10 1 0", "7 8 9 10 1 0.5", r"gt\.txt:13: an attribute is no small whole number"),
        ("a.jpg\n4", "a.jpg\n3", r"gt\.txt:2: the count says 3 faces, but 4 lines follow"),
        ("a.jpg\n4", "a.jpg\nfour", r"gt\.txt:2: 'four' stands where the number of faces"),
        ("c.jpg\n2", "c.jpg\n3", r"gt\.txt:11: the count says 3 faces, but 2 lines follow"),
        ("1--Hands/c", "0--Parade/a", r"gt\.txt:10: .*a\.jpg is annotated a second time"),
        ("1--Hands/c", "../c", r"gt\.txt:10: .*leads out of its folder"),
        (OFFICIAL, "", r"gt\.txt is empty; .*facezoo data download widerface"),
        (OFFICIAL, "\n \n", r"gt\.txt is empty"),
    ],
)
def test_malformed_annotation(root, old, new, said):
    assert old in OFFICIAL
    write(root, OFFICIAL.replace(old, new))
    with pytest.raises(DataError, match=said) as error:
        WiderFace(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("1 2 3 4", r"label\.txt:1: a face stands before the first image"),
        ("# a.jpg\n1 2 3 4", r"label\.txt:2: a face has 4 values where 20 or 19"),
        (LABELS.replace("-3.5", "nan"), r"label\.txt:6: 'nan' is no finite number"),
        (f"# 9--X/x.jpg\n1 2 3 4 {NONE} 1", r"None of the 1 faces .* belongs to the split"),
        ("", r"label\.txt is empty"),
    ],
)
def test_malformed_landmarks(root, text, said):
    (root / "label.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        WiderFace(root, landmarks="label.txt")


def test_what_is_missing(root):
    command = "facezoo data download widerface --root"
    with pytest.raises(
        DataError, match=rf"folder .*nowhere does not exist; .*`{command} .*nowhere`"
    ):
        WiderFace(root / "nowhere")
    with pytest.raises(DataError, match=rf"WIDER_val/images does not exist; .*`{command}"):
        WiderFace(root, "val")
    with pytest.raises(DataError, match=r"none\.txt does not exist"):
        WiderFace(root, landmarks="none.txt")
    with pytest.raises(DataError, match=r"1--Hands/c\.jpg does not exist"):
        WiderFace(root)[2]
    (root / "wider_face_split" / "wider_face_train_bbx_gt.txt").unlink()
    with pytest.raises(DataError, match=rf"gt\.txt does not exist; .*`{command}"):
        WiderFace(root)


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range(root, index):
    for read in (WiderFace(root).__getitem__, WiderFace(root).truth, WiderFace(root).image_id):
        with pytest.raises(IndexError, match="of 3"):
            read(index)


def test_pickled_copy_gives_the_same(root):
    dataset = WiderFace(root, landmarks="label.txt")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    assert np.array_equal(copy[0].boxes, dataset[0].boxes)
    assert np.array_equal(copy[0].landmarks, dataset[0].landmarks, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "split, images, faces, dropped", [("train", 12880, 159424, 31), ("val", 3226, 39708, 11)]
)
def test_official_annotation(shared_data, tmp_path, split, images, faces, dropped):
    (tmp_path / "wider_face_split").symlink_to(shared_data / "annotations_full")
    (tmp_path / f"WIDER_{split}" / "images").mkdir(parents=True)
    dataset = WiderFace(tmp_path, split)
    plain = read_plainly(shared_data / "annotations_full" / f"wider_face_{split}_bbx_gt.txt")
    assert (len(dataset), dataset.counts["faces"]) == (images, faces)
    assert dataset.counts["dropped"] == dropped
    assert len(pickle.dumps(dataset)) < 100 * faces  # bytes
    for index, (name, rows) in enumerate(plain.items()):
        truth = dataset.truth(index)
        assert dataset.image_id(index) == name
        usable = [w > 0 and h > 0 for _, _, w, h, *_ in rows]
        valid = [good and row[7] == 0 for row, good in zip(rows, usable, strict=True)]
        assert (~truth.ignore).tolist() == valid
        wanted = [[x, y, x + w, y + h] for x, y, w, h, *_ in rows]
        for box, right, good in zip(truth.boxes.tolist(), wanted, usable, strict=True):
            assert box == (right if good else right[:2] * 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "split, images, faces, known", [("train", 1100, 11596, 6029), ("val", 400, 3816, 2216)]
)
def test_mini_set(shared_data, split, images, faces, known):
    root = shared_data / "widerface_mini"
    label = root / "retinaface_labels" / split / "label.txt"
    dataset = WiderFace(root, split, landmarks=label.relative_to(root))
    assert (len(dataset), dataset.counts["faces"]) == (images, faces)
    assert dataset.counts["with_landmarks"] == known
    assert dataset.counts["landmarks_unmatched"] == dataset.counts["faces_unmatched"] == 0
    official = read_plainly(root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt")
    labels, start = read_labels_plainly(label), 0
    for name, rows in official.items():
        for row in rows:
            right = labels[(name, *row[:4])].pop(0)
            wanted = np.array([point or (np.nan, np.nan) for point in right], np.float32)
            assert np.array_equal(dataset.annotations.landmarks[start], wanted, equal_nan=True)
            assert dataset.annotations.attributes[start].tolist() == row[4:]
            start += 1
    for index in range(0, images, 97):
        sample = dataset[index]
        height, width = sample.image.shape[:2]
        assert (sample.boxes[:, 2:] <= (width + 3, height + 3)).all()
