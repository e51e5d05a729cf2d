"""``ColorJitter``: each of its four changes against a definition of its own, and its draws."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from facezoo.data.transforms import ColorJitter
from facezoo.data.transforms.colour import GREY_WEIGHTS, colour_change
from facezoo.errors import ConfigError
from facezoo.structures import Sample

FACTORS = st.floats(0, 2)


def picture(low: int = 0, high: int = 256, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(low, high, (23, 17, 3), dtype=np.uint8)


def changed(image: np.ndarray, *change: float) -> np.ndarray:
    matrix, share = colour_change(*change)
    mean = image.reshape(-1, 3).mean(0)
    return image @ matrix.T + share * (GREY_WEIGHTS @ mean)


def sample_of(image: np.ndarray) -> Sample:
    return Sample(
        image,
        boxes=np.array([[1, 2, 8, 9]], np.float32),
        landmarks=np.full((1, 5, 2), 3, np.float32),
        ignore=np.zeros(1, bool),
        labels=np.zeros(1, np.int64),
        image_id="a.jpg",
    )


@settings(deadline=None)
@given(FACTORS, FACTORS, FACTORS, st.floats(-0.5, 0.5))
def test_the_matrix_is_the_four_changes_one_after_another(
    brightness: float, contrast: float, saturation: float, turn: float
) -> None:
    image = picture().astype(np.float64)
    expected = image * brightness
    grey = expected @ GREY_WEIGHTS
    expected = grey.mean() + contrast * (expected - grey.mean())
    grey = expected @ GREY_WEIGHTS
    expected = grey[..., None] + saturation * (expected - grey[..., None])
    axis = cv2.Rodrigues(np.full(3, 2 * np.pi * turn / np.sqrt(3)))[0]
    found = changed(image, brightness, contrast, saturation, turn)
    np.testing.assert_allclose(found, expected @ axis.T, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "enhance"),
    [
        ((1.3, 1, 1, 0), ImageEnhance.Brightness),
        ((1, 1.3, 1, 0), ImageEnhance.Contrast),
        ((1, 1, 1.3, 0), ImageEnhance.Color),
    ],
)
def test_brightness_contrast_and_saturation_are_those_of_pillow(
    change: tuple[float, float, float, float], enhance: type
) -> None:
    image = picture(80, 180)
    expected = np.asarray(enhance(Image.fromarray(image)).enhance(1.3)).astype(float)
    # Pillow rounds the greys that it keeps its distance from.
    assert np.abs(changed(image.astype(float), *change) - expected).max() < 1.1


@pytest.mark.parametrize("thirds", [-1, 1])
def test_a_third_of_the_colour_circle_is_what_hsv_makes_of_it(thirds: int) -> None:
    colours = picture().reshape(-1, 3) / 255
    hsv = [colorsys.rgb_to_hsv(*colour) for colour in colours.tolist()]
    expected = [colorsys.hsv_to_rgb((hue + thirds / 3) % 1, s, v) for hue, s, v in hsv]
    matrix, share = colour_change(1, 1, 1, thirds / 3)
    np.testing.assert_allclose(colours @ matrix.T, expected, atol=1e-9)
    assert share == 0


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_an_image_is_the_matrix_of_its_draw_within_a_level(seed: int) -> None:
    transform = ColorJitter(0.5, 0.5, 0.5, 0.2, p=1.0)
    sample = sample_of(picture())
    before = sample.image.copy()
    after = transform(sample, np.random.default_rng(seed))
    generator = np.random.default_rng(seed)
    generator.random()
    change = np.array([1.0, 1, 1, 0]) + generator.uniform(-1, 1, 4) * (0.5, 0.5, 0.5, 0.2)
    expected = np.clip(changed(before.astype(float), *change), 0, 255)
    assert np.abs(after.image - expected).max() < 1  # OpenCV's matrix has ten bits
    assert np.array_equal(sample.image, before) and after.boxes is sample.boxes


def test_it_is_drawn_as_often_as_p_says() -> None:
    sample = sample_of(picture())
    generator = np.random.default_rng(0)
    transform = ColorJitter(p=0.25)
    changes = sum(transform(sample, generator) is not sample for _ in range(2000))
    assert 420 < changes < 580


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"brightness": -0.1}, "brightness of ColorJitter is -0.1; give a share from 0 to 1."),
        ({"hue": 0.6}, "hue of ColorJitter is 0.6; give a share from 0 to 0.5."),
        ({"p": 2.0}, "p of ColorJitter is 2.0; give a probability from 0 to 1."),
    ],
)
def test_an_argument_out_of_range_is_one_sentence(
    arguments: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ConfigError) as error:
        ColorJitter(**arguments)
    assert str(error.value) == sentence
