"""``ColorJitter``: other brightness, contrast, saturation and hue, in one pass over the image."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from facezoo.data.transforms.colour_matrix import GREY_WEIGHTS, ColourRanges
from facezoo.data.transforms.transform import Transform
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample


@TRANSFORMS.register
class ColorJitter(Transform):
    """Changes brightness, contrast, saturation and hue by one matrix.

    The arguments are those of ``albumentations.ColorJitter``, and so is what they mean, but the
    hue: it is turned about the axis of greys (P. Haeberli, "Matrix Operations for Image
    Processing", 1993) and not in HSV, which keeps the mean of the channels in place of the largest.
    The four come in the order of their names, and colours are clipped once, at the end;
    albumentations draws the order, and clips after each.

    Args:
        brightness: greatest change of its factor from 1, either way.
        contrast: greatest change of the factor of the distance from the image's mean grey.
        saturation: greatest change of the factor of the distance from each pixel's own grey.
        hue: greatest turn either way, as a share of the colour circle.
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
        self.ranges = ColourRanges("ColorJitter", brightness, contrast, saturation, hue, p)

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample in other colours; boxes and landmarks are as they were."""
        change = self.ranges.draw(generator)
        if change is None:
            return sample
        matrix, grey_share = change
        grey = GREY_WEIGHTS @ cv2.mean(sample.image)[:3]
        affine = np.column_stack([matrix, np.full(3, grey_share * grey)])
        return replace(sample, image=np.asarray(cv2.transform(sample.image, affine), np.uint8))
