"""``Mosaic`` and ``MixUp``: several photographs in one."""

from collections.abc import Sequence

import cv2
import numpy as np

from facezoo.data.transforms.transform import (
    MEAN_COLOUR,
    FaceLimits,
    PartnerTransform,
    Small,
    check_canvas,
    joined,
    rescaled,
)
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample


@TRANSFORMS.register
class Mosaic(PartnerTransform):
    """Four samples around a random centre of one square (YOLOv4, arXiv 2004.10934; YOLOv5).

    The sample lies above and left of the centre, its three partners above and right, below and
    left, below and right: each touches the centre with a corner, at its own scale, is cut where it
    reaches the border of the square, and padded where it does not. A face is measured against the
    part of its own photograph that is shown: it is dropped and counted where its centre is cut
    away, its box ends at the part's border, and its landmarks outside of the part become NaN.

    The map to the original is that of the sample's own part: no one map fits all four.

    Args:
        size: side of the result in pixels. YOLOv5's is twice the side it trains on, of which
            RandomPerspective shows the middle.
        centre: lowest and highest place of the centre, as shares of ``size``, drawn uniformly and
            for each axis on its own.
        p: probability.
        until: the epoch, from 0, from which on samples are left single; None for none.
        min_size: least side of a face in pixels; see ``FaceLimits``.
        min_visible: share of a face's box that the border has to leave.
        small: what becomes of a smaller face, ``ignore`` or ``drop``.
        value: colour of the padding, RGB.

    Raises:
        ConfigError: an argument is out of range.
    """

    partners = 3

    def __init__(
        self,
        size: int,
        centre: tuple[float, float] = (0.25, 0.75),
        p: float = 1.0,
        until: int | None = None,
        min_size: float = 0.0,
        min_visible: float = 0.0,
        small: Small = "ignore",
        value: tuple[int, int, int] = MEAN_COLOUR,
    ) -> None:
        super().__init__(p, until)
        check_canvas(size, value, "Mosaic")
        if not 0 <= centre[0] <= centre[1] <= 1:
            raise ConfigError(
                f"centre of Mosaic is {list(centre)}; give the lowest and then the highest share, "
                "from 0 to 1."
            )
        self.size = size
        self.centre = centre
        self.limits = FaceLimits("Mosaic", min_size, min_visible, small)
        self.value = value

    def join(
        self, sample: Sample, partners: Sequence[Sample], generator: np.random.Generator
    ) -> Sample:
        """Returns the four samples as one."""
        x, y = (int(one) for one in np.rint(generator.uniform(*self.centre, 2) * self.size))
        row = np.full((self.size, 3), self.value, np.uint8)
        canvas = np.full((self.size, self.size, 3), row)  # by rows: sixty times as fast
        parts = []
        for number, one in enumerate((sample, *partners)):
            height, width = one.image.shape[:2]
            left = x if number % 2 else x - width
            top = y if number >= 2 else y - height
            part = self._part(one, left, top)
            corner = max(0, left), max(0, top)
            rows, columns = part.image.shape[:2]
            canvas[corner[1] : corner[1] + rows, corner[0] : corner[0] + columns] = part.image
            parts.append(rescaled(part, canvas, (1, 1), corner))
        return joined(canvas, parts)

    def _part(self, sample: Sample, left: int, top: int) -> Sample:
        """Returns what of a sample is inside of the square, where its corner is at left, top."""
        x, y = max(0, -left), max(0, -top)
        part = sample.image[y : max(y, self.size - top), x : max(x, self.size - left)]
        return self.limits.within_view(rescaled(sample, part, (1, 1), (-x, -y)))


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
