"""``ColorJitter`` and ``HSV``.

Brightness, contrast, saturation and hue are each affine in red, green and blue, so that all of them
together are one 3 x 3 matrix and one offset (P. Haeberli, "Matrix Operations for Image Processing",
1993). A grey stays a grey under saturation and hue, which is why the offset, that of the contrast,
is the same in every channel. Nothing is clipped in between.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.transforms.transform import Transform, check_range
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in a grey (ITU-R BT.601), which OpenCV and Pillow take too."""

ColourChange = tuple[NDArray[np.float64], float]

_AROUND_GREY = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
"""The cross product with the unit vector along the greys."""


def colour_change(
    brightness: float, contrast: float, saturation: float, turn: float
) -> ColourChange:
    """Returns a 3 x 3 matrix, and the share of the image's mean grey that is added to all channels.

    A pixel c of an image whose mean is m becomes ``matrix @ c + share * (GREY_WEIGHTS @ m)``.

    Args:
        brightness: factor of all colours.
        contrast: factor of the distance from the image's mean grey.
        saturation: factor of the distance from the pixel's own grey.
        turn: of the hue, a share of the colour circle from red towards green: a rotation about the
            axis of greys, which at thirds of the circle exchanges the channels, as in HSV.
    """
    angle = 2 * np.pi * turn
    mean_of_channels = np.full((3, 3), 1 / 3)
    rotation = (
        np.cos(angle) * (np.eye(3) - mean_of_channels)
        + mean_of_channels
        + np.sin(angle) * _AROUND_GREY
    )
    saturated = saturation * np.eye(3) + (1 - saturation) * GREY_WEIGHTS
    return brightness * contrast * rotation @ saturated, brightness * (1 - contrast)


@TRANSFORMS.register
class ColorJitter(Transform):
    """Changes brightness, contrast, saturation and hue by one matrix.

    The arguments are those of ``albumentations.ColorJitter``, and so is what they mean, but the
    hue: it is turned about the axis of greys and not in HSV, which keeps the mean of the channels
    in place of the largest. The four come in the order of their names, and colours are clipped
    once, at the end; albumentations draws the order, and clips after each.

    Args:
        brightness: greatest change of its factor from 1, either way; like the next two up to 1.
        contrast: greatest change of the factor of the distance from the image's mean grey.
        saturation: greatest change of the factor of the distance from each pixel's own grey.
        hue: greatest turn either way, as a share of the colour circle, up to 0.5.
        p: probability.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
        p: float = 0.5,
    ) -> None:
        self.most = (brightness, contrast, saturation, hue)
        self.p = p
        factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        check_range(type(self).__name__, "share", **factors)
        check_range(type(self).__name__, "share", 0.5, hue=hue)
        check_range(type(self).__name__, "probability", p=p)

    def draw_change(self, generator: np.random.Generator) -> ColourChange | None:
        """Returns a random change as ``colour_change`` does; None leaves the colours."""
        if generator.random() >= self.p:
            return None
        brightness, contrast, saturation, turn = generator.uniform(-1, 1, 4) * self.most
        return colour_change(1 + brightness, 1 + contrast, 1 + saturation, turn)

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample in other colours; boxes and landmarks are as they were."""
        change = self.draw_change(generator)
        if change is None:
            return sample
        matrix, grey_share = change
        grey = GREY_WEIGHTS @ cv2.mean(sample.image)[:3]
        affine = np.column_stack([matrix, np.full(3, grey_share * grey)])
        return replace(sample, image=np.asarray(cv2.transform(sample.image, affine), np.uint8))


@TRANSFORMS.register
class HSV(Transform):
    """Turns the hue and multiplies saturation and value, each by a draw of its own (YOLOv5).

    By tables of 256 entries. The hue is turned; YOLOv5 multiplies it, which leaves red as it is.

    Args:
        hue: greatest turn either way, as a share of the colour circle.
        saturation: greatest change of the factor from 1.
        value: greatest change of the factor from 1.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, hue: float = 0.015, saturation: float = 0.7, value: float = 0.4) -> None:
        check_range("HSV", "share", 0.5, hue=hue)
        check_range("HSV", "share", saturation=saturation, value=value)
        self.most = (hue, saturation, value)

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample in other colours; boxes and landmarks are as they were."""
        if not any(self.most):
            return sample  # the way to HSV and back rounds colours
        turn, saturation, value = generator.uniform(-1, 1, 3) * self.most
        levels = np.arange(256)
        tables = np.stack(
            [
                np.rint(levels + turn * 256) % 256,
                np.rint(np.clip(levels * (1 + saturation), 0, 255)),
                np.rint(np.clip(levels * (1 + value), 0, 255)),
            ],
            axis=-1,
        ).astype(np.uint8)
        # FULL: 256 hues in place of 180.
        pixels = cv2.LUT(cv2.cvtColor(sample.image, cv2.COLOR_RGB2HSV_FULL), tables[None])
        image = cv2.cvtColor(pixels, cv2.COLOR_HSV2RGB_FULL)
        return replace(sample, image=np.asarray(image, np.uint8))
