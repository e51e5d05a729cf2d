"""Figures: people and things as filled and stroked paths, and the painting of them.

A figure is planned in units of its own, placed in the image by one similarity transform, and then
known exactly: what it covers follows from its paths without painting it. Coordinates are
continuous: the pixel in column i spans i to i + 1, as in half-open boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from facezoo.synthetic.colours import Colour

Image = MatLike
Points = NDArray[np.float64]

DETAIL, COVER, FACE = 0, 1, 2
"""Roles of a shape: paint only; hides what lies behind; skin of the face, which the box bounds."""

FRACTION_BITS = 4
FILL_GROWTH = 0.6
"""By how many pixels ``cv2.fillPoly`` with smooth edges exceeds a path on each side, measured."""


class Shape(NamedTuple):
    """One path of a figure.

    Attributes:
        points: P x 2, in the units of the figure.
        colour: RGB.
        width: of the stroke, in the same units; 0 fills the path.
        role: DETAIL, COVER or FACE.
    """

    points: Points
    colour: Colour
    width: float = 0.0
    role: int = DETAIL


@dataclass(frozen=True)
class Figure:
    """Shapes in image pixels, back to front.

    Attributes:
        points: N x 2, of all shapes one after the other.
        shapes: per shape its first and last index, colour, stroke width in pixels and role.
        size: height in pixels of what is shown (of the face, for a person).
        landmarks: 5 x 2, NaN where the face itself hides them; None where there is no face.
    """

    points: Points
    shapes: list[tuple[int, int, Colour, float, int]]
    size: float
    landmarks: Points | None = None

    def face_points(self) -> Points:
        """Returns the points that bound the face."""
        return np.concatenate(
            [self.points[first:last] for first, last, _, _, role in self.shapes if role == FACE]
        )


def similarity(scale: float, angle: float, centre: tuple[float, float]) -> Points:
    """Returns the 2 x 3 matrix that scales, turns by ``angle`` (radians), moves to ``centre``."""
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]]])


def transform(points: Points, matrix: Points) -> Points:
    """Returns the N x 2 points after the 2 x 3 affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def place(shapes: Sequence[Shape], matrix: Points, size: float) -> Figure:
    """Returns the shapes as a figure in image pixels."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    rows, first = [], 0
    for shape in shapes:
        last = first + len(shape.points)
        rows.append((first, last, shape.colour, shape.width * scale, shape.role))
        first = last
    return Figure(transform(np.concatenate([s.points for s in shapes]), matrix), rows, size)


def join(figures: Sequence[Figure], size: float, landmarks: Points | None = None) -> Figure:
    """Returns one figure of several, the later ones in front."""
    rows, offset = [], 0
    for figure in figures:
        for first, last, colour, width, role in figure.shapes:
            rows.append((first + offset, last + offset, colour, width, role))
        offset += len(figure.points)
    points = np.concatenate([figure.points for figure in figures])
    return Figure(points, rows, size, landmarks)


@lru_cache(maxsize=64)
def unit_circle(count: int) -> Points:
    """Returns ``count`` points of the unit circle, from +x towards +y (down)."""
    angles = np.arange(count) * (2 * math.pi / count)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    circle.setflags(write=False)
    return circle


def ellipse(x: float, y: float, half_width: float, half_height: float, count: int = 24) -> Points:
    """Returns an ellipse."""
    return unit_circle(count) * (half_width, half_height) + (x, y)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Returns a rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def path(*points: tuple[float, float]) -> Points:
    """Returns the points as an array."""
    return np.array(points, dtype=np.float64)


def paint(image: Image, figure: Figure, light: Image) -> None:
    """Paints the figure over the image, in place.

    Args:
        image: H x W x 3, RGB.
        figure: what to paint.
        light: 2 x 2 x 4, brightness (255 = full) at the corners of the figure; channel 4 is 255.
    """
    stroke = max(row[3] for row in figure.shapes) / 2 + 1
    low = np.maximum(np.floor(figure.points.min(axis=0) - stroke), 0).astype(int)
    high = np.ceil(figure.points.max(axis=0) + stroke).astype(int)
    high = np.minimum(high, (image.shape[1], image.shape[0]))
    width, height = (high - low).tolist()
    if width <= 0 or height <= 0:
        return
    patch = _draw(figure, low, width, height)
    patch = cv2.multiply(patch, cv2.resize(light, (width, height)), scale=1 / 255)
    region = image[low[1] : high[1], low[0] : high[0]]
    # The patch starts as zeros, so that its colours are already multiplied by its coverage.
    behind = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(patch, 3)), cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(region, behind, scale=1 / 255)
    cv2.add(behind, cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB), dst=behind)
    region[...] = behind


def _draw(figure: Figure, low: NDArray[np.int_], width: int, height: int) -> Image:
    """Returns the figure on a transparent patch, height x width x 4, colours times coverage."""
    finer = 4 if figure.size < 24 else 2
    patch: Image = np.zeros((height * finer, width * finer, 4), np.uint8)
    # OpenCV counts from the centre of the first pixel.
    points = (figure.points - low) * finer - 0.5
    for first, last, _, _, role in figure.shapes:
        if role == FACE:
            points[first:last] = _less_growth(points[first:last])
    for first, last, colour, stroke, _ in figure.shapes:
        _trace(patch, points[first:last], (*colour, 255), stroke * finer, cv2.LINE_AA)
    return cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)


def _trace(
    image: Image, points: Points, colour: int | tuple[int, ...], stroke: float, line: int
) -> None:
    """Strokes a path, or fills it where the stroke is 0 pixels wide."""
    fixed = [(points * (1 << FRACTION_BITS)).round().astype(np.int32)]
    if stroke:
        thick = max(1, round(stroke))
        cv2.polylines(image, fixed, False, colour, thick, line, FRACTION_BITS)  # type: ignore[arg-type]
    else:
        cv2.fillPoly(image, fixed, colour, line, FRACTION_BITS)  # type: ignore[arg-type]


def _less_growth(points: Points) -> Points:
    """Shrinks a path by what OpenCV's anti-aliased filling adds around it."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 2 * FILL_GROWTH)
    return middle + (points - middle) * (1 - FILL_GROWTH / half)


def mark(owners: Image, figure: Figure, number: int) -> None:
    """Writes into H x W ``owners`` which pixels show the figure's face and which it hides.

    The face's pixels get ``number``, what else the figure covers gets 0.
    """
    for first, last, _, stroke, role in figure.shapes:
        if role != DETAIL:
            owner = number if role == FACE else 0
            _trace(owners, figure.points[first:last] - 0.5, owner, stroke, cv2.LINE_8)
