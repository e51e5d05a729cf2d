import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.geometry.priors import AnchorGrid

ANCHORS = {8: [16, 32], 16: [64], 32: [256, 512, 24.5]}


def priors_by_loop(anchors: dict, feature_sizes: list[tuple[int, int]]) -> list[list[float]]:
    rows = []
    for (stride, sides), (height, width) in zip(anchors.items(), feature_sizes, strict=True):
        for i in range(height):
            for j in range(width):
                for side in sides:
                    rows.append([(j + 0.5) * stride, (i + 0.5) * stride, side, side])
    return rows


def test_priors_are_ordered_by_level_row_column_anchor() -> None:
    sizes = [(6, 4), (3, 2), (2, 1)]
    grid = AnchorGrid(ANCHORS, [8, 16, 32])(sizes, "cpu")
    assert grid.priors.tolist() == priors_by_loop(ANCHORS, sizes)
    assert grid.strides.tolist() == [8.0] * 48 + [16.0] * 6 + [32.0] * 6
    assert grid.level_sizes == (48, 6, 6)
    assert grid.level_shapes == ((6, 4, 2), (3, 2, 1), (2, 1, 3))
    assert grid.priors.dtype == grid.strides.dtype == torch.float32


def test_anchors_may_be_wider_than_high() -> None:
    grid = AnchorGrid({8: [[4, 5], 16]}, [8])([(1, 2)], "cpu")
    assert grid.priors.tolist() == [[4, 4, 4, 5], [4, 4, 16, 16], [12, 4, 4, 5], [12, 4, 16, 16]]


def test_order_of_the_mapping_does_not_matter() -> None:
    backwards = dict(reversed(ANCHORS.items()))
    sizes = [(6, 4), (3, 2), (2, 1)]
    first = AnchorGrid(ANCHORS, [8, 16, 32])(sizes, "cpu")
    second = AnchorGrid(backwards, [8, 16, 32])(sizes, "cpu")
    assert torch.equal(first.priors, second.priors)


def test_grid_holds_no_weights() -> None:
    grid = AnchorGrid(ANCHORS, [8, 16, 32])
    assert grid.state_dict() == {}
    assert grid.anchors_per_cell == [2, 1, 3]


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        ({8: [16], 16: [32]}, ["[8, 16]", "[8, 16, 32]"]),  # a level without anchors
        ({8: [16], 16: [32], 64: [64]}, ["[8, 16, 64]"]),  # another stride
        ({8: [16], 16: [], 32: [64]}, ["stride 16", "[]"]),
        ({8: [16], 16: [0], 32: [64]}, ["stride 16", "[0]"]),
        ({8: [16], 16: [[4, -1]], 32: [64]}, ["stride 16", "[[4, -1]]"]),
    ],
)
def test_wrong_anchors_are_told(anchors: dict, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        AnchorGrid(anchors, [8, 16, 32])
    assert all(word in str(caught.value) for word in words)
