import pickle

import numpy as np
import pytest

from facezoo.builder import build
from facezoo.data.datasets import Subset, SyntheticFaces
from facezoo.errors import DataError
from facezoo.registry import DATASETS


@pytest.fixture
def whole():
    return SyntheticFaces(num_images=6, image_size=64)


def test_takes_the_named_images_in_that_order(whole):
    names = [whole.image_id(i) for i in (4, 0, 5)]
    subset = Subset(whole, names)
    assert len(subset) == 3 and subset.num_landmarks == 5
    assert [subset.image_id(i) for i in range(3)] == names
    for place, index in enumerate((4, 0, 5)):
        assert np.array_equal(subset[place].image, whole[index].image)
        assert np.array_equal(subset.truth(place).boxes, whole.truth(index).boxes)
    assert pickle.loads(pickle.dumps(subset)).image_id(2) == names[2]  # noqa: S301


@pytest.mark.parametrize("index", [-1, 1])
def test_index_out_of_range(whole, index):
    with pytest.raises(IndexError, match="of 1"):
        Subset(whole, [whole.image_id(3)])[index]


def test_unknown_names(whole):
    names = ["a.jpg", whole.image_id(0), "b.jpg", "c.jpg", "d.jpg"]
    said = r"4 of 5 names .*'a.jpg', 'b.jpg', 'c.jpg'; its ids look like 'synthetic_0/000000.jpg'"
    with pytest.raises(DataError, match=said):
        Subset(whole, names)


def test_no_name(whole):
    with pytest.raises(DataError, match="empty; name at least one"):
        Subset(whole, [])


def test_name_given_twice(whole):
    with pytest.raises(DataError, match=r"000001\.jpg' is named more than once"):
        Subset(whole, [whole.image_id(1)] * 2)


def test_is_built_with_its_child():
    child = {"type": "SyntheticFaces", "num_images": 3}
    node = {"type": "Subset", "dataset": child, "names": ["synthetic_0/000002.jpg"]}
    subset = build(node, DATASETS)
    assert isinstance(subset, Subset) and len(subset) == 1
    assert {"CocoFaces", "Subset", "SyntheticFaces", "WiderFace"} <= set(DATASETS.names())
