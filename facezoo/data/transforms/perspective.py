"""``RandomPerspective``: a photograph turned, scaled, sheared and tilted at random."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.transforms.transform import (
    MEAN_COLOUR,
    PROBES,
    FaceLimits,
    Small,
    Transform,
    check_canvas,
    check_range,
    compose,
    nearest_affine,
)
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample

Homography = NDArray[np.float64]


@TRANSFORMS.register
class RandomPerspective(Transform):
    """Moves image, boxes and landmarks by one random homography into a square (YOLOv5).

    The middle of the image goes to the middle of the square, at its own scale, where nothing is
    changed. A draw is uniform within each range. A rotation moves landmarks and never swaps them;
    the ranges are such that there is no mirror image.

    A box becomes that of the ellipse within it, which is nearer to a turned face than that of the
    turned box. A face whose centre leaves the square is dropped and counted, boxes end at its
    border, and landmarks outside of it become NaN. With ``perspective``, the map to the original is
    the affine map nearest to the real one over the image.

    Args:
        size: side of the result in pixels.
        degrees: greatest rotation either way, up to 180.
        translate: greatest shift either way, as a share of ``size``.
        scale: lowest and highest scale.
        shear: greatest angle of shear either way and along either axis, in degrees, below 45.
        perspective: greatest change, along either axis, from the middle to the border of the image,
            of the divisor that tilts it; up to 0.25. YOLOv5 counts per pixel: 0.0005 on an image of
            1280 pixels is 0.32 here.
        min_size: least side of a face in pixels; see ``FaceLimits``.
        min_visible: share of a face's box that the border has to leave.
        small: what becomes of a smaller face, ``ignore`` or ``drop``.
        value: colour of the padding, RGB.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        size: int,
        degrees: float = 0.0,
        translate: float = 0.1,
        scale: tuple[float, float] = (0.5, 1.5),
        shear: float = 0.0,
        perspective: float = 0.0,
        min_size: float = 0.0,
        min_visible: float = 0.0,
        small: Small = "ignore",
        value: tuple[int, int, int] = MEAN_COLOUR,
    ) -> None:
        check_canvas(size, value, "RandomPerspective")
        check_range("RandomPerspective", "number", 180, degrees=degrees)
        check_range("RandomPerspective", "number", translate=translate)
        check_range("RandomPerspective", "number", 44, shear=shear)
        check_range("RandomPerspective", "number", 0.25, perspective=perspective)
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(
                f"scale of RandomPerspective is {list(scale)}; give the lowest, above 0, and then "
                "the highest."
            )
        self.size = size
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.perspective = perspective
        self.limits = FaceLimits("RandomPerspective", min_size, min_visible, small)
        self.value = value

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample, moved."""
        height, width = sample.image.shape[:2]
        there = self._draw(width, height, generator)
        if (height, width) == (self.size, self.size) and np.array_equal(there, np.eye(3)):
            return self.limits.within_view(sample)
        moved = replace(
            sample,
            image=self._warp(sample.image, there),
            boxes=ellipse_boxes(sample.boxes, there),
            landmarks=moved_points(sample.landmarks, there).astype(np.float32),
            to_original=compose(sample.to_original, _back(there, width, height)),
        )
        return self.limits.within_view(moved)

    def _draw(self, width: int, height: int, generator: np.random.Generator) -> Homography:
        """Returns a random homography from the pixels of an image to those of the square."""
        tilt = generator.uniform(-self.perspective, self.perspective, 2)
        angle = np.deg2rad(generator.uniform(-self.degrees, self.degrees))
        scale = generator.uniform(*self.scale)
        shear_x, shear_y = np.tan(np.deg2rad(generator.uniform(-self.shear, self.shear, 2)))
        place = self.size * (0.5 + generator.uniform(-self.translate, self.translate, 2))
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        tilted = np.array([[1, 0, 0], [0, 1, 0], [2 * tilt[0] / width, 2 * tilt[1] / height, 1]])
        turned = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        sheared = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
        placed = np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1]])
        return np.asarray(placed @ sheared @ turned @ tilted @ centred)

    def _warp(self, image: NDArray[np.uint8], there: Homography) -> NDArray[np.uint8]:
        # OpenCV counts from the middle of the first pixel, homographies here from its corner.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        warped = cv2.warpPerspective(
            image,
            np.linalg.inv(half) @ there @ half,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR,
            borderValue=self.value,
        )
        return np.asarray(warped, np.uint8)


def moved_points(points: NDArray[np.floating], there: Homography) -> NDArray[np.float64]:
    """Returns points, ... x 2, moved by a homography; NaN stays NaN."""
    moved = points @ there[:, :2].T + there[:, 2]
    return np.asarray(moved[..., :2] / moved[..., 2:], np.float64)


def ellipse_boxes(boxes: NDArray[np.float32], there: Homography) -> NDArray[np.float32]:
    """Returns n x 4 boxes of the ellipses in n x 4 boxes, moved by a homography.

    An ellipse is the matrix D of its tangents l, for which l' D l = 0; a homography H makes it
    H D H' (Hartley and Zisserman, Multiple View Geometry, result 2.14). The upright tangents of
    that are the sides of its box.
    """
    corners = boxes.astype(np.float64)
    axes = np.zeros((len(boxes), 3, 3))
    axes[:, [0, 1], [0, 1]] = (corners[:, 2:] - corners[:, :2]) / 2
    axes[:, :2, 2] = (corners[:, 2:] + corners[:, :2]) / 2
    axes[:, 2, 2] = 1
    circles = there @ axes  # what makes the unit circle, whose D is diagonal, the moved ellipse
    tangents = circles @ np.diag([1.0, 1.0, -1.0]) @ circles.transpose(0, 2, 1)
    middle, depth = tangents[:, :2, 2], tangents[:, 2:, 2]
    # Rounding can make the square of a box without area negative.
    spread = np.sqrt(np.maximum(middle**2 - tangents[:, [0, 1], [0, 1]] * depth, 0))
    ends = np.stack([(middle + spread) / depth, (middle - spread) / depth], axis=1)
    return ends.reshape(-1, 4).astype(np.float32)


def _back(there: Homography, width: int, height: int) -> NDArray[np.float64]:
    """Returns the 2 x 3 affine map back, the nearest where the homography is none."""
    probes = PROBES * [width, height]
    return nearest_affine(moved_points(probes, there), probes)
