"""``Concat``: every image, in the shares that the weights say."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facezoo.builder import build
from facezoo.data.datasets import Concat, FaceDataset, Subset, SyntheticFaces
from facezoo.data.loading.loader import train_stream
from facezoo.errors import ConfigError, DataError
from facezoo.registry import DATASETS
from facezoo.structures import Sample, Truth


class Named(FaceDataset):
    """Images that are known by their names alone."""

    def __init__(self, name: str, length: int, num_landmarks: int = 5) -> None:
        self.name = name
        self.length = length
        self.num_landmarks = num_landmarks

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            image=np.zeros((4, 4, 3), np.uint8),
            boxes=np.zeros((0, 4), np.float32),
            landmarks=np.zeros((0, 5, 2), np.float32),
            ignore=np.zeros(0, bool),
            labels=np.zeros(0, np.int64),
            image_id=self.image_id(index),
        )

    def truth(self, index: int) -> Truth:
        return Truth(np.full((index, 4), float(index)), np.zeros(index, bool))

    def image_id(self, index: int) -> str:
        assert 0 <= index < self.length
        return f"{self.name}/{index}"


def ids(dataset: FaceDataset) -> list[str]:
    return [dataset.image_id(index) for index in range(len(dataset))]


def test_without_weights_one_stands_after_another() -> None:
    joined = Concat([Named("a", 3), Named("b", 0), Named("c", 2)])
    assert ids(joined) == ["a/0", "a/1", "a/2", "c/0", "c/1"]
    assert [joined[index].image_id for index in range(5)] == ids(joined)
    assert [len(joined.truth(index).boxes) for index in range(5)] == [0, 1, 2, 0, 1]
    assert joined.num_landmarks == 5
    for index in (-1, 5):
        with pytest.raises(IndexError, match=f"image {index} of 5"):
            joined[index]


def test_with_weights_the_small_one_repeats() -> None:
    joined = Concat([Named("a", 6), Named("b", 2)], [1, 1])
    assert ids(joined)[:6] == [f"a/{index}" for index in range(6)]
    assert ids(joined)[6:] == ["b/0"] * 3 + ["b/1"] * 3


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0.05, 20)), min_size=1, max_size=5))
def test_shares_are_as_the_weights_say_and_no_image_is_left_out(
    parts: list[tuple[int, float]],
) -> None:
    weights = [weight for _, weight in parts]
    joined = Concat([Named(str(i), n) for i, (n, _) in enumerate(parts)], weights)
    counts = Counter(ids(joined))
    assert len(counts) == sum(n for n, _ in parts)
    length = max(n * sum(weights) / weight for n, weight in parts)
    for number, (n, weight) in enumerate(parts):
        own = [counts[f"{number}/{index}"] for index in range(n)]
        assert max(own) - min(own) <= 1
        assert abs(sum(own) - length * weight / sum(weights)) < 1 + 1e-6
    assert any(set(counts[f"{i}/{j}"] for j in range(n)) == {1} for i, (n, _) in enumerate(parts))
    assert length - 1e-6 <= len(joined) <= math.ceil(length) + len(parts)


def test_the_unit_of_the_weights_does_not_matter() -> None:
    parts: list[FaceDataset] = [Named("a", 30), Named("b", 7), Named("c", 11)]
    shares = np.array([0.1, 0.7, 0.2])
    assert ids(Concat(parts, shares.tolist())) == ids(Concat(parts, (shares * 70).tolist()))


def test_a_stream_takes_each_in_its_share() -> None:
    joined = Concat([Named("a", 40), Named("b", 5)], [3, 1])
    stream = itertools.islice(train_stream(joined, [], 9, 0), 60)
    taken = Counter(name[0] for batch in stream for name in batch.ids)
    assert len(joined) == 40 + 14
    assert taken["a"] == 400 and taken["b"] == 140


def test_it_can_be_pickled_and_nested() -> None:
    inner = Concat([Named("a", 2), Named("b", 1)])
    outer = Concat([inner, Named("c", 1)], [1, 1])
    assert ids(pickle.loads(pickle.dumps(outer))) == ["a/0", "a/1", "b/0", "c/0", "c/0", "c/0"]  # noqa: S301
    assert ids(Subset(outer, ["c/0", "a/1"])) == ["c/0", "a/1"]


def test_it_is_built_from_a_config() -> None:
    node = {
        "type": "Concat",
        "datasets": [
            {"type": "SyntheticFaces", "seed": 1, "num_images": 4, "image_size": 64},
            {"type": "SyntheticFaces", "seed": 2, "num_images": 2, "image_size": 64},
        ],
        "weights": [1.0, 1.0],
    }
    joined = build(node, DATASETS)
    assert isinstance(joined, Concat) and len(joined) == 8
    np.testing.assert_array_equal(joined[7].image, SyntheticFaces(2, 2, 64)[1].image)


@pytest.mark.parametrize(
    ("datasets", "weights", "error", "start"),
    [
        ([], None, ConfigError, "datasets of Concat is empty"),
        ([Named("a", 1)], [1, 2], ConfigError, "weights of Concat are [1, 2]; give 1 numbers"),
        ([Named("a", 1), Named("b", 1)], [1, 0], ConfigError, "weights of Concat are [1, 0]"),
        ([Named("a", 1)], [math.inf], ConfigError, "weights of Concat are [inf]"),
        ([Named("a", 1)], [math.nan], ConfigError, "weights of Concat are [nan]"),
        ([Named("a", 1), Named("b", 0)], [1, 1], DataError, "Data set 1 of Concat has no images"),
        (
            [Named("a", 1), Named("b", 1, 98)],
            None,
            DataError,
            "The data sets of Concat have [5, 98] landmarks per face",
        ),
        (
            [Named("a", 1), Named("b", 3), Named("b", 2)],
            None,
            DataError,
            "Data sets 1 and 2 of Concat both have an image 'b/0'",
        ),
    ],
)
def test_what_cannot_be_joined(
    datasets: list[FaceDataset], weights: list[float] | None, error: type[Exception], start: str
) -> None:
    with pytest.raises(error) as raised:
        Concat(datasets, weights)
    assert str(raised.value).startswith(start)
