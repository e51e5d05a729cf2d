"""``Letterbox``: the whole photograph in a square."""

from __future__ import annotations

import cv2
import numpy as np

from facezoo.data.transforms.transform import Transform, check_colour, check_size
from facezoo.data.transforms.view import MEAN_COLOUR, rescaled
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample


@TRANSFORMS.register
class Letterbox(Transform):
    """Scales the longer side to ``size``, up or down (bilinear), and pads to a square.

    No face is dropped and no box clipped. Sides are whole pixels, so the two scales may differ by
    the rounding of the shorter side; boxes, landmarks and map follow the real ones.

    Args:
        size: side of the square in pixels.
        value: colour of the padding, RGB.
        centred: pad on both sides instead of right and below.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        size: int,
        value: tuple[int, int, int] = MEAN_COLOUR,
        centred: bool = False,
    ) -> None:
        check_size(size, "Letterbox")
        check_colour(value, "Letterbox")
        self.size = size
        self.value = value
        self.centred = centred

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample, scaled and padded; nothing is random."""
        before_hw = sample.image.shape[:2]
        scale = self.size / max(before_hw)
        height, width = (max(1, round(side * scale)) for side in before_hw)
        left = (self.size - width) // 2 if self.centred else 0
        top = (self.size - height) // 2 if self.centred else 0
        below, right = self.size - height - top, self.size - width - left
        scaled = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_LINEAR)
        image = cv2.copyMakeBorder(
            scaled, top, below, left, right, cv2.BORDER_CONSTANT, value=self.value
        )
        scale_xy = (width / before_hw[1], height / before_hw[0])
        return rescaled(sample, np.asarray(image, np.uint8), scale_xy, (left, top))
