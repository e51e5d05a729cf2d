"""``HSV`` against the formulas of Python's colorsys, colour by colour."""

from __future__ import annotations

import colorsys
import pickle

import numpy as np
import pytest

from facezoo.data.transforms import HSV
from facezoo.errors import ConfigError
from facezoo.structures import Sample


class Fixed:
    """Stands for a generator that draws the given shares of each range."""

    def __init__(self, *shares: float) -> None:
        self.shares = shares

    def uniform(self, low: float, high: float, count: int) -> np.ndarray:
        assert (low, high, count) == (-1, 1, 3)
        return np.array(self.shares)


def colours(seed: int = 0) -> Sample:
    image = np.random.default_rng(seed).integers(0, 256, (12, 15, 3), np.uint8)
    image[0] = np.arange(15)[:, None] * 18  # greys
    return Sample(
        image=image,
        boxes=np.array([[1, 2, 9, 11]], np.float32),
        landmarks=np.arange(10, dtype=np.float32).reshape(1, 5, 2),
        ignore=np.array([True]),
        labels=np.zeros(1, np.int64),
        image_id="colours",
        dropped=3,
    )


@pytest.mark.parametrize(
    "shares",
    [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (0.5, -0.3, 0.4)],
)
def test_each_colour_is_what_the_formulas_say(shares: tuple[float, float, float]) -> None:
    sample = colours()
    after = HSV(0.2, 0.7, 0.4)(sample, Fixed(*shares))  # type: ignore[arg-type]
    turn, saturation, value = np.multiply(shares, (0.2, 0.7, 0.4))
    wanted = []
    for pixel in sample.image.reshape(-1, 3):
        h, s, v = colorsys.rgb_to_hsv(*(pixel / 255.0))
        h, s, v = (h + turn) % 1, min(1, s * (1 + saturation)), min(1, v * (1 + value))
        wanted.append(colorsys.hsv_to_rgb(h, s, v))
    off = np.abs(after.image.reshape(-1, 3) - np.multiply(wanted, 255))
    # The hue has 256 levels and is rounded twice: by up to one level, which moves a channel by 6,
    # and the factor of the saturation makes that more.
    assert off.max() <= 6 * 1.7 and off.mean() <= 1.5


def test_greys_stay_grey_and_red_turns() -> None:
    sample = colours()
    after = HSV(0.5, 1, 0)(sample, np.random.default_rng(3))
    np.testing.assert_array_equal(after.image[0], sample.image[0])
    sample.image[...] = (200, 0, 0)
    after = HSV(0.5, 0, 0)(sample, Fixed(1 / 1.5, 0, 0))  # type: ignore[arg-type]
    assert after.image[3, 3].argmax() == 1  # a third of the circle from red is green


def test_boxes_and_landmarks_are_as_they_were() -> None:
    sample = colours()
    image = sample.image.copy()
    after = HSV()(sample, np.random.default_rng(0))
    for name in ("boxes", "landmarks", "ignore", "labels", "to_original"):
        np.testing.assert_array_equal(getattr(after, name), getattr(sample, name))
    assert (after.image_id, after.dropped) == ("colours", 3)
    np.testing.assert_array_equal(sample.image, image)
    assert not np.array_equal(after.image, image)


def test_where_nothing_is_to_change_nothing_does() -> None:
    sample = colours()
    assert HSV(0, 0, 0)(sample, np.random.default_rng(0)) is sample


def test_it_keeps_no_state_and_can_be_pickled() -> None:
    sample, transform = colours(), HSV()
    first = transform(sample, np.random.default_rng(1)).image
    other = transform(sample, np.random.default_rng(2)).image
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301
    np.testing.assert_array_equal(first, copy(sample, np.random.default_rng(1)).image)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"hue": 0.6}, "hue of HSV is 0.6; give a share from 0 to 0.5."),
        ({"saturation": -0.1}, "saturation of HSV is -0.1; give a share from 0 to 1."),
        ({"value": 1.5}, "value of HSV is 1.5; give a share from 0 to 1."),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        HSV(**arguments)
    assert str(error.value) == says
