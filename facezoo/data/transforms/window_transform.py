"""A part of a photograph that is known before the photograph is decoded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.images import REDUCTIONS
from facezoo.data.transforms.transform import Transform
from facezoo.structures import Sample


@dataclass(frozen=True)
class Window:
    """A rectangle, in pixels of a photograph, and the size that it is shown at.

    Attributes:
        left: of the rectangle, which may reach beyond the photograph.
        top: of it.
        width: of it.
        height: of it.
        shown_width: in pixels of the result.
        shown_height: in pixels of the result.
    """

    left: int
    top: int
    width: int
    height: int
    shown_width: int
    shown_height: int

    @property
    def reduction(self) -> int:
        """The largest divisor of the photograph's scale that leaves as many pixels as are shown."""
        shrunk = min(self.width / self.shown_width, self.height / self.shown_height)
        return next((one for one in REDUCTIONS if one <= shrunk), 1)

    def of_reduced(
        self, image: NDArray[np.uint8], reduction: int, border: int, value: tuple[int, int, int]
    ) -> NDArray[np.uint8]:
        """Returns the window of a photograph that was decoded at a part of its scale (bilinear).

        Args:
            image: of which pixel x shows the photograph from ``x * reduction`` on.
            reduction: the divisor.
            border: OpenCV's mode for what lies beyond the photograph.
            value: its colour, for BORDER_CONSTANT.
        """
        step_x = self.width / self.shown_width / reduction
        step_y = self.height / self.shown_height / reduction
        # OpenCV counts from the middle of the first pixel, windows from its corner.
        from_shown = np.array(
            [
                [step_x, 0, step_x / 2 + self.left / reduction - 0.5],
                [0, step_y, step_y / 2 + self.top / reduction - 0.5],
            ]
        )
        shown = cv2.warpAffine(
            image,
            from_shown,
            (self.shown_width, self.shown_height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=value,
        )
        return np.asarray(shown, np.uint8)


class WindowTransform(Transform):
    """A transform that shows one window of a photograph and tells which before it is decoded.

    Where it comes first, the loader can decode a JPEG at a part of its scale
    (``data.reduced_decoding``), if the data set gives photographs as they are read.
    """

    def plan(self, sample: Sample, generator: np.random.Generator) -> Window:
        """Returns the window; of the image only its shape counts."""
        raise NotImplementedError

    def show(self, sample: Sample, window: Window, reduction: int = 1) -> Sample:
        """Returns the sample as the window shows it.

        Args:
            sample: with faces in pixels of the whole photograph.
            window: of the photograph.
            reduction: the divisor of the scale at which ``sample.image`` was decoded.
        """
        raise NotImplementedError

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample as a window of it shows it."""
        return self.show(sample, self.plan(sample, generator))
