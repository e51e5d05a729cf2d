"""``HSV``: other hues, saturations and brightness."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from facezoo.data.transforms.transform import Transform
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample


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
        for name, given, most in (
            ("hue", hue, 0.5),
            ("saturation", saturation, 1.0),
            ("value", value, 1.0),
        ):
            if not 0 <= given <= most:
                raise ConfigError(f"{name} of HSV is {given}; give a share from 0 to {most:g}.")
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
