"""What data sets tell the evaluators besides boxes: landmarks and attributes."""

from pathlib import Path

import numpy as np
import pytest

from facezoo.data.datasets import Subset, SyntheticFaces
from facezoo.data.datasets.annotated_images import Annotations
from facezoo.data.datasets.wider_face import WiderFace, read_widerface_truth
from facezoo.errors import DataError

ROWS = """\
0--Parade/a.jpg
2
10 20 30 40 2 1 0 0 1 1
5 5 0 9 0 0 0 0 0 0
1--Event/b.jpg
1
1 2 3 4 1 0 1 1 2 0
"""


def test_synthetic_faces_have_their_landmarks() -> None:
    dataset = SyntheticFaces(num_images=6, image_size=96, face_sizes=(16, 48))
    part = Subset(dataset, [dataset.image_id(4), dataset.image_id(1)])
    for i, place in enumerate((4, 1)):
        truth, sample = part.truth(i), dataset[place]
        np.testing.assert_array_equal(truth.landmarks, sample.landmarks)
        assert truth.attributes is None


def test_rows_of_a_truth_are_those_of_the_annotation() -> None:
    landmarks = np.arange(30, dtype=np.float32).reshape(3, 5, 2)
    boxes = np.array([[0, 0, 9, 9], [5, 5, 4, 9], [1, 1, 3, 3.0]])
    attributes = np.arange(18, dtype=np.int8).reshape(3, 6)
    ignore = np.array([True, False, False])
    both = Annotations(["a", "b"], np.array([0, 1, 3]), boxes, ignore, landmarks, attributes)
    first, second = both.truth(0), both.truth(1)
    assert first.ignore.tolist() == [True] and second.ignore.tolist() == [True, False]
    np.testing.assert_array_equal(second.boxes, [[5, 5, 5, 5], [1, 1, 3, 3]])
    np.testing.assert_array_equal(second.landmarks, landmarks[1:])
    np.testing.assert_array_equal(second.attributes, attributes[1:])


@pytest.mark.parametrize("is_root", [True, False])
def test_the_truth_of_widerface_without_photographs(is_root: bool, tmp_path: Path) -> None:
    (tmp_path / "wider_face_split").mkdir()
    path = tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt"
    path.write_text(ROWS)
    truth = read_widerface_truth(tmp_path if is_root else path)
    (tmp_path / "WIDER_val/images").mkdir(parents=True)
    dataset = WiderFace(tmp_path, "val")
    assert list(truth) == ["0--Parade/a.jpg", "1--Event/b.jpg"]
    for i, one in enumerate(truth.values()):
        for name in ("boxes", "ignore", "landmarks", "attributes"):
            np.testing.assert_array_equal(getattr(one, name), getattr(dataset.truth(i), name))
    assert truth["0--Parade/a.jpg"].ignore.tolist() == [False, True]  # the second has no area
    assert truth["1--Event/b.jpg"].ignore.tolist() == [True]  # marked invalid
    assert truth["0--Parade/a.jpg"].attributes.tolist() == [[2, 1, 0, 0, 1, 1], [0] * 6]


def test_a_truth_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wider_face_val_bbx_gt\.txt does not exist; name another"):
        read_widerface_truth(tmp_path)
