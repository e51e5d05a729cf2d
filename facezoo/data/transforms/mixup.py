"""``MixUp``: two photographs shining through each other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facezoo.data.transforms.transform import PartnerTransform, joined
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample


@TRANSFORMS.register
class MixUp(PartnerTransform):
    """Blends the sample with a partner and keeps the faces of both (mixup, arXiv 1710.09412).

    The weight of the sample is drawn from Beta(alpha, alpha), as in YOLOv5, whose alpha is 32:
    0.41 to 0.59 in nine of ten cases (YOLOX takes 0.5). Below 1, one of the two is mostly too faint
    to be seen, while its faces are taught in full. No face is dropped; the map to the original is
    the sample's, and right for what comes from it.

    Args:
        alpha: of the distribution.
        p: probability.
        until: the epoch, from 0, from which on samples are left single; None for none.

    Raises:
        ConfigError: an argument is out of range.
    """

    partners = 1

    def __init__(self, alpha: float = 32.0, p: float = 0.1, until: int | None = None) -> None:
        super().__init__(p, until)
        if not alpha > 0:
            raise ConfigError(f"alpha of MixUp is {alpha}; give a number above 0.")
        self.alpha = alpha

    def join(
        self, sample: Sample, partners: Sequence[Sample], generator: np.random.Generator
    ) -> Sample:
        """Returns the blend of the two samples.

        Raises:
            ConfigError: their images differ in size.
        """
        (partner,) = partners
        if partner.image.shape != sample.image.shape:
            (height, width), (other_height, other_width) = (
                one.image.shape[:2] for one in (sample, partner)
            )
            raise ConfigError(
                f"MixUp blends images of one size, but {sample.image_id} has {width} x {height} "
                f"pixels and {partner.image_id} {other_width} x {other_height}: put SquareCrop, "
                "Letterbox or RandomPerspective before it."
            )
        weight = generator.beta(self.alpha, self.alpha)
        image = cv2.addWeighted(sample.image, weight, partner.image, 1 - weight, 0)
        return joined(np.asarray(image, np.uint8), (sample, partner))
