"""Preprocessing against arithmetic written out, and as part of a checkpoint."""

import numpy as np
import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.models import Pixels
from facezoo.models.face_detector import Padding


def test_order_mean_and_deviation() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = Pixels(order="bgr", mean=(104, 117, 123), std=(1, 2, 4))
    given = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = (image[..., ::-1].astype(np.float64) - [104, 117, 123]) / [1, 2, 4]
    np.testing.assert_allclose(pixels(given)[0].permute(1, 2, 0).numpy(), expected, rtol=1e-6)


def test_padding_is_the_mean_in_rgb() -> None:
    assert Pixels(order="bgr", mean=(104.4, 117, 300)).padding_rgb() == (255, 117, 104)
    assert Pixels(order="rgb", mean=(0, 0, 0), std=(255, 255, 255)).padding_rgb() == (0, 0, 0)


def test_padding_may_have_a_colour_of_its_own() -> None:
    assert Pixels(padding=Padding(colour=(114, 114, 114))).padding_rgb() == (114, 114, 114)
    with pytest.raises(ConfigError, match=r"colour of padding is \[0, 0, 256\]"):
        Padding(colour=(0, 0, 256))


def test_a_checkpoint_carries_it() -> None:
    other = Pixels()
    other.load_state_dict(Pixels(order="bgr", mean=(1, 2, 3), std=(4, 5, 6)).state_dict())
    assert other.order.tolist() == [2, 1, 0] and other.std.tolist() == [4, 5, 6]
    assert other.padding_rgb() == (3, 2, 1)


def test_no_deviation() -> None:
    with pytest.raises(ConfigError, match="std of Pixels"):
        Pixels(std=(1, 0, 1))
