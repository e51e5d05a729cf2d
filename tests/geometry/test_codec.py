import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.geometry.priors import (
    BoxCodec,
    DistributionBoxCodec,
    LandmarkCodec,
    SSDBoxCodec,
    YOLOBoxCodec,
)
from facezoo.structures import Grid

prior = st.tuples(*[st.floats(0, 1000, width=32)] * 2, *[st.floats(8, 512, width=32)] * 2)


def grid_of(priors: torch.Tensor, stride: float = 8.0) -> Grid:
    return Grid(priors, torch.full((len(priors),), stride), (len(priors),))


box = st.tuples(*[st.floats(-100, 1000, width=32)] * 2, *[st.floats(1, 800, width=32)] * 2)


@given(st.lists(st.tuples(prior, box), min_size=1, max_size=6))
def test_box_survives_its_code(rows: list) -> None:
    grid = grid_of(torch.tensor([p for p, _ in rows]))
    boxes = torch.tensor([[x, y, x + w, y + h] for _, (x, y, w, h) in rows])
    codec = SSDBoxCodec()
    decoded = codec.decode(grid, codec.encode(grid, boxes[None]))
    torch.testing.assert_close(decoded, boxes[None], rtol=1e-5, atol=1e-2)


def test_code_is_the_published_one() -> None:
    # A prior of 16 at (8, 8); a face of 20 x 24 at (10, 14); variances 0.1 and 0.2.
    code = SSDBoxCodec().encode(
        grid_of(torch.tensor([[8.0, 8, 16, 16]])), torch.tensor([[[0.0, 2, 20, 26]]])
    )
    expected = [2 / 16 / 0.1, 6 / 16 / 0.1, math.log(20 / 16) / 0.2, math.log(24 / 16) / 0.2]
    torch.testing.assert_close(code, torch.tensor([[expected]]))


@given(st.lists(st.tuples(prior, prior), min_size=1, max_size=6))
def test_landmarks_survive_their_code(rows: list) -> None:
    grid = grid_of(torch.tensor([p for p, _ in rows]))
    landmarks = torch.tensor([p for _, p in rows]).view(1, -1, 2, 2)
    codec = LandmarkCodec()
    code = codec.encode(grid, landmarks)
    assert code.shape == (1, len(rows), 4)
    torch.testing.assert_close(codec.decode(grid, code), landmarks, rtol=1e-5, atol=1e-2)


def test_landmark_code_is_an_offset_in_sides_of_the_prior() -> None:
    code = LandmarkCodec().encode(
        grid_of(torch.tensor([[8.0, 8, 16, 32]])), torch.tensor([[[[12.0, 4], [8, 8]]]])
    )
    torch.testing.assert_close(code, torch.tensor([[[4 / 1.6, -4 / 3.2, 0.0, 0.0]]]))


def test_box_without_area_has_a_finite_code() -> None:
    code = SSDBoxCodec().encode(grid_of(torch.tensor([[8.0, 8, 16, 16]])), torch.zeros(1, 1, 4))
    assert code.isfinite().all()


def test_wild_codes_decode_to_finite_boxes_with_finite_gradients() -> None:
    codes = torch.tensor([[[1e4, -1e4, 1e4, -1e4]]], requires_grad=True)
    boxes = SSDBoxCodec().decode(grid_of(torch.tensor([[8.0, 8, 16, 16]])), codes)
    boxes.sum().backward()
    assert boxes.isfinite().all()
    assert codes.grad.isfinite().all()


def test_half_precision_codes_decode_in_float32() -> None:
    grid = grid_of(torch.tensor([[1001.0, 1001, 16, 16]]))
    assert SSDBoxCodec().decode(grid, torch.zeros(1, 1, 4).bfloat16()).dtype == torch.float32
    assert LandmarkCodec().decode(grid, torch.zeros(1, 1, 2).bfloat16()).tolist() == [
        [[[1001.0, 1001.0]]]
    ]


def test_yolo_code_is_the_published_one() -> None:
    """The sigmoids of YOLOv5, in its own terms: cells and their upper left corners."""
    grid = Grid(torch.tensor([[36.0, 20, 10, 13]]), torch.tensor([8.0]), (1,))
    x, y, width, height = (1 / (1 + math.exp(-code)) for code in (0.3, -1.2, 0.7, -0.4))
    centre = ((2 * x - 0.5 + 4) * 8, (2 * y - 0.5 + 2) * 8)
    half = ((2 * width) ** 2 * 10 / 2, (2 * height) ** 2 * 13 / 2)
    decoded = YOLOBoxCodec().decode(grid, torch.tensor([[[0.3, -1.2, 0.7, -0.4]]]))
    expected = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]
    torch.testing.assert_close(decoded, torch.tensor([[expected]]))


@given(*[st.floats(-0.875, 0.875, width=16)] * 2, *[st.floats(0.125, 3.75, width=16)] * 2)
def test_box_in_reach_survives_yolos_code(dx: float, dy: float, rw: float, rh: float) -> None:
    grid = Grid(torch.tensor([[20.0, 36, 24, 16]]), torch.tensor([8.0]), (1,))
    x, y, w, h = 20 + 8 * dx, 36 + 8 * dy, 24 * rw, 16 * rh
    box = torch.tensor([[[x - w / 2, y - h / 2, x + w / 2, y + h / 2]]])
    codec = YOLOBoxCodec()
    torch.testing.assert_close(codec.decode(grid, codec.encode(grid, box)), box, rtol=0, atol=1e-2)


def test_box_out_of_reach_has_a_finite_yolo_code() -> None:
    grid = Grid(torch.tensor([[20.0, 36, 24, 16]]), torch.tensor([8.0]), (1,))
    boxes = torch.tensor([[[0.0, 0, 0, 0]], [[-500, -500, 900, 900]], [[8, 8, 4, 4]]])
    assert YOLOBoxCodec().encode(grid, boxes).isfinite().all()


def test_distribution_is_decoded_to_its_mean() -> None:
    """Two bins share the probability: the distance lies between them, as far as it says."""
    grid = Grid(torch.tensor([[20.0, 36, 8, 8]]), torch.tensor([8.0]), (1,))
    shares = torch.zeros(4, 5)
    shares[0, [1, 2]] = torch.tensor([0.25, 0.75])
    shares[1, 0] = shares[2, 4] = shares[3, 3] = 1
    decoded = DistributionBoxCodec(5).decode(grid, shares.log().clamp(min=-1e4).view(1, 1, 20))
    expected = [20 - 1.75 * 8, 36.0, 20 + 4 * 8, 36 + 3 * 8]
    torch.testing.assert_close(decoded, torch.tensor([[expected]]))


def test_distances_are_in_strides() -> None:
    grid = Grid(torch.tensor([[20.0, 36, 8, 8]]), torch.tensor([8.0]), (1,))
    code = DistributionBoxCodec(16).encode(grid, torch.tensor([[[12.0, 32, 44, 34]]]))
    torch.testing.assert_close(code, torch.tensor([[[1, 0.5, 3, -0.25]]]))


def test_landmarks_of_a_cell_begin_at_its_corner() -> None:
    grid = Grid(torch.tensor([[20.0, 36, 10, 13]]), torch.tensor([8.0]), (1,))
    codec = LandmarkCodec(1.0, origin="corner")
    decoded = codec.decode(grid, torch.tensor([[[0.5, 2.0, -1, 0]]]))
    torch.testing.assert_close(decoded, torch.tensor([[[[21.0, 58], [6, 32]]]]))
    torch.testing.assert_close(codec.encode(grid, decoded), torch.tensor([[[0.5, 2.0, -1, 0]]]))


def test_a_distribution_has_two_bins_at_least() -> None:
    with pytest.raises(ConfigError, match="bins is 1"):
        DistributionBoxCodec(1)


@pytest.mark.parametrize("codec", [SSDBoxCodec(), YOLOBoxCodec(), DistributionBoxCodec(16)])
def test_autocast_changes_nothing(codec: BoxCodec) -> None:
    torch.manual_seed(0)
    grid = grid_of(torch.rand(50, 4) * 600 + 8, stride=32.0)
    encoded = torch.randn(2, 50, codec.outputs).bfloat16()
    boxes, landmarks = codec.decode(grid, encoded), torch.rand(2, 50, 5, 2) * 600
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.decode(grid, encoded), boxes)
        code = LandmarkCodec().encode(grid, landmarks)
        assert torch.equal(codec.encode(grid, boxes), codec.encode(grid, boxes.float()))
    assert torch.equal(code, LandmarkCodec().encode(grid, landmarks))


@pytest.mark.parametrize("make", [lambda: SSDBoxCodec((0.1, 0.0)), lambda: LandmarkCodec(-1.0)])
def test_variance_of_zero_is_refused(make) -> None:
    with pytest.raises(ConfigError, match="more than 0"):
        make()
