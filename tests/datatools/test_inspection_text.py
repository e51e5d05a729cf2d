"""The reader that refuses no line: the same as the strict one where that reads, findings else."""

import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facezoo.data.annotations import open_annotation_files
from facezoo.data.datasets import WiderFace
from facezoo.datatools.inspection import inspect
from facezoo.errors import DataError

ZEROS = "0 0 0 0 0 0"
OFFICIAL = f"""\
0--Parade/a.jpg
2
10 20 30 40 2 1 0 0 2 1
1 2 3 4 0 0 0 1 0 0
1--Hands/b.jpg
0
0 0 0 0 {ZEROS}
1--Hands/c.jpg
1
7 8 9 10 {ZEROS}
"""


def read(tmp_path, text):
    path = tmp_path / "faces.txt"
    path.write_text(text)
    (file,) = open_annotation_files(path)
    return file


def faults(file):
    """Kind and line of each fault."""
    return [(one.kind, int(one.where.rpartition(":")[2])) for one in file.faults]


def test_official(tmp_path):
    file = read(tmp_path, OFFICIAL)
    assert file.faults == [] and file.format == "widerface"
    assert file.names == ["0--Parade/a.jpg", "1--Hands/b.jpg", "1--Hands/c.jpg"]
    assert file.owners.tolist() == [0, 0, 2]
    assert file.boxes.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6], [7, 8, 16, 18]]
    assert file.ignore.tolist() == [False, True, False]
    assert file.attributes[0].tolist() == [2, 1, 0, 0, 2, 1]
    assert [file.place_of_image(i) for i in range(3)] == [f"{file.path}:{n}" for n in (1, 5, 8)]
    assert [file.place_of_face(i) for i in range(3)] == [f"{file.path}:{n}" for n in (3, 4, 10)]


@pytest.mark.parametrize(
    ("old", "new", "expected", "faces"),
    [
        ("0--Parade/a.jpg\n2\n", "0--Parade/a.jpg\n3\n", [("wrong_count", 2)], 3),
        ("0--Parade/a.jpg\n2\n", "0--Parade/a.jpg\n", [("malformed", 2)], 3),
        ("0--Parade/a.jpg\n2\n", "0--Parade/a.jpg\ntwo\n", [("malformed", 2)], 3),
        ("1 2 3 4 0", "1 2 3 nan 0", [("malformed", 4)], 2),
        ("1 2 3 4 0", "1 2 3 four 0", [("malformed", 4)], 2),
        ("1 2 3 4 0", "1 2 3 4", [("malformed", 4)], 2),
        ("1--Hands/c.jpg", "0--Parade/a.jpg", [("annotated_twice", 8)], 3),
        ("1--Hands/c.jpg", "../c.jpg", [("malformed", 8)], 2),
        ("0--Parade/a.jpg", "a\n0--Parade/a.jpg", [("malformed", 1)], 3),
        ("1--Hands/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n", "1--Hands/b.jpg\n0\n", [], 3),
        (f"1\n7 8 9 10 {ZEROS}\n", "", [("malformed", 8)], 2),
    ],
)
def test_a_wrong_line_spoils_nothing_else(tmp_path, old, new, expected, faces):
    assert old in OFFICIAL
    file = read(tmp_path, OFFICIAL.replace(old, new, 1))
    assert faults(file) == expected
    assert len(file.boxes) == faces


def test_label_txt(tmp_path):
    none = " ".join(["-1.0"] * 15)
    points = "-3.5 22 0 30 22 1 20 30 0 15 50 0 28 50 -1"
    file = read(
        tmp_path,
        f"9 9 9 9 {none} 0.1\n# a.jpg\n1 2 3 4 {points} 0.9\n\n5 6 7 8 {none} 0.1\n"
        f"# b.jpg\n# a.jpg\n1 2 3 4 {none}\n#\n3 3 3 3 {none} 0.1\n",
    )
    assert file.format == "retinaface" and file.names == ["a.jpg", "b.jpg", "a.jpg"]
    # The line without a confidence is not like the others; what follows a nameless # is no image's.
    assert faults(file) == [
        ("malformed", 1),
        ("annotated_twice", 7),
        ("malformed", 8),
        ("malformed", 9),
    ]
    assert file.boxes.tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert file.landmarks[0, :2].tolist() == [[-3.5, 22], [30, 22]]
    assert np.isnan(file.landmarks[0, 4]).all() and np.isnan(file.landmarks[1]).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "is empty"), ("no picture at all\n", "names no image"), (None, "There is no file")],
)
def test_what_is_no_annotation(tmp_path, text, sentence):
    path = tmp_path / "faces.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        open_annotation_files(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.permutations(OFFICIAL.splitlines()).flatmap(
        lambda lines: st.lists(st.sampled_from([*lines, "", "x", "00", "# d.jpg"]), min_size=1)
    )
    | st.integers(0, len(OFFICIAL.splitlines())).flatmap(
        lambda place: st.sampled_from(["", "x", "00", "1", "d.jpg", f"0 0 0 0 {ZEROS}"]).map(
            lambda line: [*OFFICIAL.splitlines()[:place], line, *OFFICIAL.splitlines()[place:]]
        )
    )
)
def test_any_order_of_lines_is_read_or_refused_in_a_sentence(tmp_path, lines):
    try:
        file = read(tmp_path, "\n".join(lines))
    except DataError:
        return
    assert len(file.owners) == len(file.face_places) == len(file.boxes) <= len(lines)
    inspect([file])
    if file.format == "widerface":
        assert bool(file.faults) == strict_reader_refuses(tmp_path, lines)


def strict_reader_refuses(tmp_path, lines):
    (tmp_path / "WIDER_val" / "images").mkdir(parents=True, exist_ok=True)
    (tmp_path / "wider_face_split").mkdir(exist_ok=True)
    source = tmp_path / "wider_face_split" / "wider_face_val_bbx_gt.txt"
    source.write_text("\n".join(lines))
    logging.disable(logging.WARNING)
    try:
        WiderFace(tmp_path, "val")
    except DataError:
        return True
    finally:
        logging.disable(logging.NOTSET)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_agrees_with_the_strict_reader(shared_data, split):
    root = shared_data / "widerface_mini"
    official, labels = open_annotation_files(root, split)
    strict = WiderFace(root, split, f"retinaface_labels/{split}/label.txt").annotations
    assert official.faults == labels.faults == []
    assert official.names == list(strict.names)
    assert np.array_equal(official.boxes, strict.boxes)
    assert np.array_equal(official.ignore, strict.ignore)
    assert np.array_equal(official.attributes, strict.attributes)
    assert np.array_equal(np.bincount(official.owners), np.diff(strict.starts))
    known = (~np.isnan(labels.landmarks)).sum(), (~np.isnan(strict.landmarks)).sum()
    assert known[0] == known[1] > 0
