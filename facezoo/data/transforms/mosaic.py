"""``Mosaic``: four photographs in one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facezoo.data.transforms.transform import PartnerTransform, check_colour, check_size, joined
from facezoo.data.transforms.view import MEAN_COLOUR, FaceLimits, Small, rescaled
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
        min_size: a face of which a side, before the border cuts it, has fewer pixels is ``small``;
            0 for none.
        min_visible: a face of whose box the border leaves a smaller share of the area counts as
            small too; 0 for none.
        small: what happens to a small face: it is set to ignore, or dropped and counted.
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
        check_size(size, "Mosaic")
        check_colour(value, "Mosaic")
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
