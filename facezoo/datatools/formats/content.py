"""``Content``: what any of the formats says about a data set, between reading and writing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.annotated_images import Annotations
from facezoo.structures import NUM_LANDMARKS

FACE = "face"
"""The name of the one category or label that is written, and that is read among others."""

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")
"""In the order of ``facezoo.structures``: left and right are the image's."""

DECIMALS = 4  # of a pixel; more would only show the rounding of float32
SHARE_DECIMALS = 10  # of an image's width, which keeps those of a pixel up to 10^6 pixels


@dataclass(frozen=True)
class Content(Annotations):
    """The annotation of a data set with everything that more than one format can hold.

    Attributes:
        occluded: N x L, bool, whether a known landmark is marked as not visible.
        sizes_hw: images x 2, int32, height and width in pixels; None where the format has none.
        left_out: sentences on what the source has and this form has no place for.
    """

    occluded: NDArray[np.bool_] = field(kw_only=True)
    sizes_hw: NDArray[np.int32] | None = field(default=None, kw_only=True)
    left_out: tuple[str, ...] = field(default=(), kw_only=True)

    def known(self) -> NDArray[np.bool_]:
        """Returns N x L, whether a landmark is known."""
        return ~np.isnan(self.landmarks[..., 0])

    def rows(self) -> Iterable[tuple[str, range]]:
        """Yields the name of each image, and the rows of its faces."""
        starts = self.starts.tolist()
        return zip(self.names, map(range, starts[:-1], starts[1:]), strict=True)


def extended(
    annotations: Annotations,
    occluded: NDArray[np.bool_] | None = None,
    sizes_hw: NDArray[np.int32] | None = None,
    left_out: Sequence[str] = (),
) -> Content:
    """Returns annotations with what a data set class does not need of them.

    Args:
        annotations: as a data set class reads them.
        occluded: see ``Content``; None for no landmark.
        sizes_hw: see ``Content``.
        left_out: see ``Content``.
    """
    if occluded is None:
        occluded = np.zeros((len(annotations.boxes), NUM_LANDMARKS), bool)
    return Content(
        **{name: getattr(annotations, name) for name in Annotations.__dataclass_fields__},
        occluded=occluded & ~np.isnan(annotations.landmarks[..., 0]),
        sizes_hw=sizes_hw,
        left_out=tuple(left_out),
    )


def pixels(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns coordinates as they are written, without the noise of adding and float32."""
    rounded = np.round(values.astype(np.float64), DECIMALS)
    return np.asarray(rounded + 0.0)  # as -0 is no coordinate


def corners_to_extents(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns N x 4: x, y, width, height of N x 4 boxes ``x1, y1, x2, y2``, as written."""
    return pixels(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1))


def as_words(numbers: Iterable[float]) -> str:
    """Returns numbers as text with spaces between, whole ones without a point."""
    return " ".join([f"{number:.12g}" for number in numbers])
