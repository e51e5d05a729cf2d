"""``Flip``, ``Letterbox`` and ``SquareCrop``: mirrored, whole in a square, or a square of it."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.transforms.transform import (
    MEAN_COLOUR,
    FaceLimits,
    Small,
    Transform,
    box_centres,
    check_canvas,
    check_range,
    compose,
    rescaled,
)
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import MIRRORED_LANDMARKS, NUM_LANDMARKS, Sample


@TRANSFORMS.register
class Flip(Transform):
    """Mirrors left and right; the eyes change places, and so do the corners of the mouth.

    Args:
        p: probability.

    Raises:
        ConfigError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        check_range("Flip", "probability", p=p)
        self.p = p

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample, mirrored with probability ``p``."""
        if generator.random() >= self.p:
            return sample
        width = sample.image.shape[1]
        boxes = sample.boxes.copy()
        boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
        landmarks = sample.landmarks.copy()
        landmarks[..., 0] = width - landmarks[..., 0]
        return replace(
            sample,
            image=np.asarray(cv2.flip(sample.image, 1), np.uint8),
            boxes=boxes,
            landmarks=mirrored_order(landmarks),
            to_original=compose(sample.to_original, np.array([[-1.0, 0, width], [0, 1, 0]])),
        )


def mirrored_order(landmarks: np.ndarray) -> np.ndarray:
    """Returns n x L x 2 landmarks in the order of a mirror image; only five have a known one."""
    if landmarks.shape[1] != NUM_LANDMARKS:
        return landmarks
    return landmarks[:, MIRRORED_LANDMARKS]


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
        self, size: int, value: tuple[int, int, int] = MEAN_COLOUR, centred: bool = False
    ) -> None:
        check_canvas(size, value, "Letterbox")
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


@TRANSFORMS.register
class SquareCrop(Transform):
    """Cuts a random square and scales it to ``size`` (RetinaFace, arXiv 1905.00641, section 4.2).

    The side of the square is a share of the image's shorter side. A side above 1 reaches beyond the
    image and is padded. Faces whose centre is outside of the crop are dropped and counted, boxes
    end at its border, and landmarks outside of it become NaN (RetinaFace keeps them, where nothing
    shows them).

    Args:
        size: side of the result in pixels.
        ratios: lowest and highest share, drawn uniformly; may exceed 1.
        choices: shares to draw from instead, such as RetinaFace's 0.3, 0.45, 0.6, 0.8, 1.
        tries: squares that are drawn until one holds the centre of a face that is not ignored; the
            first is taken where none does.
        min_size: least side of a face in pixels; see ``FaceLimits``.
        small: what becomes of a smaller face, ``ignore`` or ``drop``.
        value: colour of the padding, RGB.
        min_visible: share of a face's box that the border has to leave.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        size: int,
        ratios: tuple[float, float] = (0.3, 1.0),
        choices: list[float] | None = None,
        tries: int = 50,
        min_size: float = 0.0,
        small: Small = "ignore",
        value: tuple[int, int, int] = MEAN_COLOUR,
        min_visible: float = 0.0,
    ) -> None:
        check_canvas(size, value, "SquareCrop")
        if not 0 < ratios[0] <= ratios[1]:
            raise ConfigError(
                f"ratios of SquareCrop are {list(ratios)}; give the lowest, above 0, and then the "
                "highest."
            )
        if choices is not None and not (choices and min(choices) > 0):
            raise ConfigError(
                f"choices of SquareCrop are {choices}; give one or more shares above 0, or null."
            )
        if tries < 1:
            raise ConfigError(f"tries of SquareCrop are {tries}; give at least 1.")
        self.size = size
        self.ratios = ratios
        self.choices = choices
        self.tries = tries
        self.limits = FaceLimits("SquareCrop", min_size, min_visible, small)
        self.value = value

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns a random square of the sample."""
        left, top, side = self._draw(sample, generator)
        square = _cut(sample.image, left, top, side, self.value)
        image = cv2.resize(square, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        scale = self.size / side
        moved = rescaled(
            sample, np.asarray(image, np.uint8), (scale, scale), (-left * scale, -top * scale)
        )
        return self.limits.within_view(moved)

    def _draw(self, sample: Sample, generator: np.random.Generator) -> tuple[int, int, int]:
        """Returns left, top and side of a random square, in pixels."""
        height, width = sample.image.shape[:2]
        if self.choices is None:
            shares = generator.uniform(*self.ratios, self.tries)
        else:
            shares = generator.choice(self.choices, self.tries)
        sides = np.maximum(1, np.rint(shares * min(height, width))).astype(np.int64)
        spare = np.array([width, height]) - sides[:, None]
        places = generator.random((self.tries, 2)) * (np.abs(spare) + 1)
        corners = np.minimum(spare, 0) + places.astype(np.int64)
        centres = box_centres(sample.boxes[~sample.ignore])
        inside = (centres >= corners[:, None]) & (centres < (corners + sides[:, None])[:, None])
        chosen = int(inside.all(-1).any(-1).argmax())
        return int(corners[chosen, 0]), int(corners[chosen, 1]), int(sides[chosen])


def _cut(
    image: NDArray[np.uint8], left: int, top: int, side: int, value: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Returns a square of the image, a view where it lies inside, else padded with ``value``."""
    height, width = image.shape[:2]
    part = image[max(0, top) : top + side, max(0, left) : left + side]
    before_y, before_x = max(0, -top), max(0, -left)
    after_y, after_x = max(0, top + side - height), max(0, left + side - width)
    if not (before_x or before_y or after_x or after_y):
        return part
    return np.asarray(
        cv2.copyMakeBorder(
            part, before_y, after_y, before_x, after_x, cv2.BORDER_CONSTANT, value=value
        ),
        np.uint8,
    )
