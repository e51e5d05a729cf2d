import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.geometry.codec import BoxCodec, LandmarkCodec

prior = st.tuples(*[st.floats(0, 1000, width=32)] * 2, *[st.floats(8, 512, width=32)] * 2)
box = st.tuples(*[st.floats(-100, 1000, width=32)] * 2, *[st.floats(1, 800, width=32)] * 2)


@given(st.lists(st.tuples(prior, box), min_size=1, max_size=6))
def test_box_survives_its_code(rows: list) -> None:
    priors = torch.tensor([p for p, _ in rows])
    boxes = torch.tensor([[x, y, x + w, y + h] for _, (x, y, w, h) in rows])
    codec = BoxCodec()
    decoded = codec.decode(priors, codec.encode(priors, boxes[None]))
    torch.testing.assert_close(decoded, boxes[None], rtol=1e-5, atol=1e-2)


def test_code_is_the_published_one() -> None:
    # A prior of 16 at (8, 8); a face of 20 x 24 at (10, 14); variances 0.1 and 0.2.
    code = BoxCodec().encode(torch.tensor([[8.0, 8, 16, 16]]), torch.tensor([[[0.0, 2, 20, 26]]]))
    expected = [2 / 16 / 0.1, 6 / 16 / 0.1, math.log(20 / 16) / 0.2, math.log(24 / 16) / 0.2]
    torch.testing.assert_close(code, torch.tensor([[expected]]))


@given(st.lists(st.tuples(prior, prior), min_size=1, max_size=6))
def test_landmarks_survive_their_code(rows: list) -> None:
    priors = torch.tensor([p for p, _ in rows])
    landmarks = torch.tensor([p for _, p in rows]).view(1, -1, 2, 2)
    codec = LandmarkCodec()
    code = codec.encode(priors, landmarks)
    assert code.shape == (1, len(rows), 4)
    torch.testing.assert_close(codec.decode(priors, code), landmarks, rtol=1e-5, atol=1e-2)


def test_landmark_code_is_an_offset_in_sides_of_the_prior() -> None:
    code = LandmarkCodec().encode(
        torch.tensor([[8.0, 8, 16, 32]]), torch.tensor([[[[12.0, 4], [8, 8]]]])
    )
    torch.testing.assert_close(code, torch.tensor([[[4 / 1.6, -4 / 3.2, 0.0, 0.0]]]))


def test_box_without_area_has_a_finite_code() -> None:
    code = BoxCodec().encode(torch.tensor([[8.0, 8, 16, 16]]), torch.zeros(1, 1, 4))
    assert code.isfinite().all()


def test_wild_codes_decode_to_finite_boxes_with_finite_gradients() -> None:
    codes = torch.tensor([[[1e4, -1e4, 1e4, -1e4]]], requires_grad=True)
    boxes = BoxCodec().decode(torch.tensor([[8.0, 8, 16, 16]]), codes)
    boxes.sum().backward()
    assert boxes.isfinite().all()
    assert codes.grad.isfinite().all()


def test_half_precision_codes_decode_in_float32() -> None:
    priors = torch.tensor([[1001.0, 1001, 16, 16]])
    assert BoxCodec().decode(priors, torch.zeros(1, 1, 4).bfloat16()).dtype == torch.float32
    assert LandmarkCodec().decode(priors, torch.zeros(1, 1, 2).bfloat16()).tolist() == [
        [[[1001.0, 1001.0]]]
    ]


@pytest.mark.parametrize("make", [lambda: BoxCodec((0.1, 0.0)), lambda: LandmarkCodec(-1.0)])
def test_variance_of_zero_is_refused(make) -> None:
    with pytest.raises(ConfigError, match="more than 0"):
        make()
