"""Brightness, contrast, saturation and hue as one affine change of colours.

Each of the four is affine in red, green and blue, so that all of them together are one 3 x 3 matrix
and one offset (P. Haeberli, "Matrix Operations for Image Processing", 1993). A grey stays a grey
under saturation and hue, which is why the offset, that of the contrast, is the same in every
channel. Nothing is clipped in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facezoo.data.transforms.checks import check_probability
from facezoo.errors import ConfigError

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in a grey (ITU-R BT.601), which OpenCV and Pillow take too."""

_AROUND_GREY = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
"""The cross product with the unit vector along the greys."""


@dataclass(frozen=True)
class ColourRanges:
    """How far brightness, contrast, saturation and hue are changed at most, and how often.

    Args:
        owner: the transform whose arguments these are, for messages.
        brightness: greatest change of its factor from 1, either way; like the next two up to 1.
        contrast: of the factor of the distance from the image's mean grey.
        saturation: of the factor of the distance from each pixel's own grey.
        hue: greatest turn either way, as a share of the colour circle, up to 0.5.
        p: probability that an image is changed.

    Raises:
        ConfigError: an argument is out of range.
    """

    owner: str
    brightness: float
    contrast: float
    saturation: float
    hue: float
    p: float

    def __post_init__(self) -> None:
        for name, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            given = getattr(self, name)
            if not 0 <= given <= most:
                raise ConfigError(
                    f"{name} of {self.owner} is {given}; give a share from 0 to {most}."
                )
        check_probability(self.p, self.owner)

    def draw(self, generator: np.random.Generator) -> tuple[NDArray[np.float64], float] | None:
        """Returns a random change as ``colour_change`` does; None leaves the colours."""
        if generator.random() >= self.p:
            return None
        most = (self.brightness, self.contrast, self.saturation, self.hue)
        brightness, contrast, saturation, turn = generator.uniform(-1, 1, 4) * most
        return colour_change(1 + brightness, 1 + contrast, 1 + saturation, turn)


def colour_change(
    brightness: float, contrast: float, saturation: float, turn: float
) -> tuple[NDArray[np.float64], float]:
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
