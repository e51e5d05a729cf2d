"""``FaceLimits``: which faces a changed view leaves too little of to teach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from facezoo.data.transforms.view import box_centres, within_view
from facezoo.errors import ConfigError
from facezoo.structures import Sample

Small = Literal["ignore", "drop"]


@dataclass(frozen=True)
class FaceLimits:
    """What becomes of faces that are small, or mostly cut, in a new view.

    Args:
        transform: whose arguments these are, for messages.
        min_size: a face of which a side, before the border cuts it, has fewer pixels is small.
        min_visible: so is a face of whose box the border leaves a smaller share of the area.
        small: what happens to a small face: it is set to ignore, or dropped and counted.

    Raises:
        ConfigError: an argument is out of range.
    """

    transform: str
    min_size: float = 0.0
    min_visible: float = 0.0
    small: Small = "ignore"

    def __post_init__(self) -> None:
        if self.min_size < 0:
            raise ConfigError(
                f"min_size of {self.transform} is {self.min_size}; give 0 or more pixels."
            )
        if not 0 <= self.min_visible <= 1:
            raise ConfigError(
                f"min_visible of {self.transform} is {self.min_visible}; give a share from 0 to 1."
            )
        if self.small not in ("ignore", "drop"):
            raise ConfigError(
                f"small of {self.transform} is {self.small!r}; give 'ignore' or 'drop'."
            )

    def within_view(self, sample: Sample) -> Sample:
        """Returns the sample with what its image shows, its small faces ignored or dropped.

        Args:
            sample: with boxes and landmarks in the pixels of its image, not yet cut by its border.
        """
        small = self._small(sample)
        if self.small == "ignore":
            kept = replace(sample, ignore=sample.ignore | small)
        else:
            dropped = sample.dropped + int(np.count_nonzero(small))
            kept = replace(sample, dropped=dropped).select(~small)
        return within_view(kept, box_centres(kept.boxes))

    def _small(self, sample: Sample) -> np.ndarray:
        size = np.array([sample.image.shape[1], sample.image.shape[0]], np.float32)
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        cut = np.clip(sample.boxes, 0, np.tile(size, 2))
        visible = (cut[:, 2:] - cut[:, :2]).prod(1)
        small = sides.min(1, initial=np.inf) < self.min_size
        return np.asarray(small | (visible < self.min_visible * sides.prod(1)))
