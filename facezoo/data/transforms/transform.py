"""What every transform of a sample is, and what a change of view does to its faces.

Coordinates are continuous: the corner of the image is 0, 0, the middle of its first pixel 0.5, 0.5.
This holds for boxes, landmarks and maps alike, so that scaling by s multiplies all of them by s and
a mirror of width W sends x to W - x.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.structures import Sample

Small = Literal["ignore", "drop"]

MEAN_COLOUR = (124, 116, 104)
"""The mean of ImageNet's photographs, RGB: what padding shows, and a normalised zero."""

PROBES = np.stack(np.meshgrid([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]), axis=-1).reshape(-1, 2)
"""Points, as shares of width and height, whose movement tells the affine map of a transform."""

SMALLEST_SIDE = 0.01
"""A box narrower or lower than this, in pixels, is without area."""


class Transform:
    """A change of a sample: of its image and, with it, of its boxes, landmarks and map.

    A transform keeps no state between samples and draws every random number from the generator it
    is given, so that a sample depends on nothing but its seed.
    """

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the changed sample; the one that was given is left as it is."""
        raise NotImplementedError


class PartnerTransform(Transform):
    """A transform that joins a sample with others of the same data set, its *partners*.

    The loader asks ``wants`` first. Where that is so, it draws the partners, sends each through the
    transforms that stand before this one, and calls ``join``: where not, it reads nothing, and the
    sample goes on as it is.

    Args:
        p: probability.
        until: the epoch, from 0, from which on samples are no longer joined; None joins to the end.

    Attributes:
        partners: how many other samples are wanted.

    Raises:
        ConfigError: an argument is out of range.
    """

    partners: int

    def __init__(self, p: float, until: int | None) -> None:
        check_range(type(self).__name__, "probability", p=p)
        if until is not None and until < 0:
            raise ConfigError(
                f"until of {type(self).__name__} is {until}; give a number of epochs, or null."
            )
        self.p = p
        self.until = until

    def wants(self, epoch: int, generator: np.random.Generator) -> bool:
        """Returns whether a sample of an epoch is to be joined, with probability ``p``."""
        return (self.until is None or epoch < self.until) and generator.random() < self.p

    def join(
        self, sample: Sample, partners: Sequence[Sample], generator: np.random.Generator
    ) -> Sample:
        """Returns the sample joined with its partners; those that were given are left as they are.

        Its name, path and map are those of ``sample``, whatever of the image comes from partners.
        """
        raise NotImplementedError

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Raises a ConfigError: without partners there is nothing to join."""
        raise ConfigError(
            f"{type(self).__name__} needs {self.partners} other samples: list it in the "
            "transforms of data.train or data.val, whose loader draws them."
        )


def joined(image: NDArray[np.uint8], samples: Sequence[Sample]) -> Sample:
    """Returns a sample that shows ``image`` and has the faces of all samples, in their order.

    Boxes and landmarks are in the pixels of ``image`` already. Name, path and map are those of the
    first sample; attributes are kept where all have them.
    """
    attributes = [one.attributes for one in samples if one.attributes is not None]
    return replace(
        samples[0],
        image=image,
        boxes=np.concatenate([one.boxes for one in samples]),
        landmarks=np.concatenate([one.landmarks for one in samples]),
        ignore=np.concatenate([one.ignore for one in samples]),
        labels=np.concatenate([one.labels for one in samples]),
        attributes=np.concatenate(attributes) if len(attributes) == len(samples) else None,
        dropped=sum(one.dropped for one in samples),
    )


def check_canvas(size: int, value: tuple[int, int, int], transform: str) -> None:
    """Raises a ConfigError unless a side in pixels and a colour of 8 bits make a square."""
    if size < 1:
        raise ConfigError(f"size of {transform} is {size}; give at least 1 pixel.")
    if not all(0 <= one <= 255 for one in value):
        raise ConfigError(
            f"value of {transform} is {list(value)}; give red, green and blue from 0 to 255."
        )


def check_range(transform: str, kind: str, most: float = 1, **arguments: float) -> None:
    """Raises a ConfigError unless arguments, such as a share, lie between 0 and ``most``."""
    for name, given in arguments.items():
        if not 0 <= given <= most:
            raise ConfigError(
                f"{name} of {transform} is {given}; give a {kind} from 0 to {most:g}."
            )


def box_centres(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the n x 2 middles of n x 4 boxes."""
    return (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)


def scale_map(scale: tuple[float, float], offset: tuple[float, float]) -> NDArray[np.float64]:
    """Returns the 2 x 3 map back from pixels that are ``old * scale + offset``."""
    (scale_x, scale_y), (x, y) = scale, offset
    return np.array([[1 / scale_x, 0, -x / scale_x], [0, 1 / scale_y, -y / scale_y]])


def compose(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the 2 x 3 affine map that is ``inner`` and then ``outer``."""
    linear = outer[:, :2] @ inner
    linear[:, 2] += outer[:, 2]
    return linear


def nearest_affine(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the 2 x 3 affine map that brings points nearest to others, exact where one does."""
    ones = np.ones((len(start), 1))
    solution = np.linalg.lstsq(np.hstack([start, ones]), end, rcond=None)[0]
    return np.asarray(solution.T, np.float64)


def rescaled(
    sample: Sample,
    image: NDArray[np.uint8],
    scale: tuple[float, float],
    offset: tuple[float, float],
) -> Sample:
    """Returns the sample with a new image, in which a pixel lies at ``old * scale + offset``."""
    factor = np.asarray(scale, np.float32)
    shift = np.asarray(offset, np.float32)
    return replace(
        sample,
        image=image,
        boxes=sample.boxes * np.tile(factor, 2) + np.tile(shift, 2),
        landmarks=sample.landmarks * factor + shift,
        to_original=compose(sample.to_original, scale_map(scale, offset)),
    )


def scaled_to_side(sample: Sample, side: int) -> Sample:
    """Returns a square sample scaled to a side in pixels: by area down, bilinear up.

    No face is dropped or ignored for having become small.
    """
    before = sample.image.shape[0]
    if side == before:
        return sample
    # Bilinear looks at four pixels for each new one, and would skip others on the way down.
    interpolation = cv2.INTER_AREA if side < before else cv2.INTER_LINEAR
    image = cv2.resize(sample.image, (side, side), interpolation=interpolation)
    scale = side / before
    return rescaled(sample, np.asarray(image, np.uint8), (scale, scale), (0, 0))


def within_view(sample: Sample, centres: NDArray[Any]) -> Sample:
    """Returns the sample with what its image shows.

    A face is dropped, and counted, where its centre is outside of the image or its box has no area
    left. Boxes end at the border. A landmark outside is NaN: nothing of it can be seen.

    Args:
        sample: with boxes and landmarks in the pixels of its image.
        centres: n x 2, the middles of the boxes before any border cut them.
    """
    size = np.array([sample.image.shape[1], sample.image.shape[0]], np.float32)
    boxes = np.clip(sample.boxes, 0, np.tile(size, 2))
    shown = (centres >= 0) & (centres < size) & (boxes[:, 2:] - boxes[:, :2] >= SMALLEST_SIDE)
    seen = np.flatnonzero(shown.all(1))
    outside = ((sample.landmarks < 0) | (sample.landmarks >= size)).any(-1, keepdims=True)
    landmarks = np.where(outside, np.float32(np.nan), sample.landmarks)
    dropped = sample.dropped + len(boxes) - len(seen)
    return replace(sample, boxes=boxes, landmarks=landmarks, dropped=dropped).select(seen)


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
        check_range(self.transform, "share", min_visible=self.min_visible)
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
