"""What scenes are drawn with: random choices, colours and figures, and the painting of them.

A figure is a person or a thing as filled and stroked paths. It is planned in units of its own,
placed in the image by one similarity transform, and then known exactly: what it covers follows from
its paths without painting it. Coordinates are continuous: the pixel in column i spans i to i + 1,
as in half-open boxes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Image = MatLike
Points = NDArray[np.float64]

DETAIL, COVER, FACE = 0, 1, 2
"""Roles of a shape: paint only; hides what lies behind; skin of the face, which the box bounds."""

FRACTION_BITS = 4
FILL_GROWTH = 0.6
"""By how many pixels ``cv2.fillPoly`` with smooth edges exceeds a path on each side, measured."""

Option = TypeVar("Option")
BLOCK = 256


class Dice:
    """Scalar random choices from one generator.

    Uniform numbers are taken in blocks: a call of a NumPy generator per choice would cost as much
    as the drawing does.

    Args:
        generator: source of all random numbers; also used directly for arrays of noise.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self._units: Iterator[float] = iter(())

    def unit(self) -> float:
        """Returns a number in [0, 1)."""
        value = next(self._units, None)
        if value is None:
            self._units = iter(self.generator.random(BLOCK).tolist())
            value = next(self._units)
        return value

    def uniform(self, low: float, high: float) -> float:
        """Returns a number in [low, high)."""
        return low + (high - low) * self.unit()

    def log_uniform(self, low: float, high: float) -> float:
        """Returns a number in [low, high) whose logarithm is uniform."""
        return low * math.exp(self.unit() * math.log(high / low))

    def bell(self, spread: float) -> float:
        """Returns a number around 0 with this standard deviation, never beyond 3 of them."""
        return 2 * spread * (self.unit() + self.unit() + self.unit() - 1.5)

    def integer(self, low: int, high: int) -> int:
        """Returns an integer from low to high, both included."""
        return low + int((high - low + 1) * self.unit())

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self.unit() < probability

    def pick(self, options: Sequence[Option]) -> Option:
        """Returns one of the options."""
        return options[int(len(options) * self.unit())]

    def sign(self) -> int:
        """Returns -1 or 1."""
        return 1 if self.unit() < 0.5 else -1


Colour = tuple[int, ...]
"""Red, green and blue, 0 to 255."""

SKIN: tuple[Colour, ...] = (
    (255, 226, 208), (244, 203, 178), (231, 180, 140), (208, 150, 108),
    (172, 115, 78), (133, 84, 56), (98, 62, 44), (66, 43, 34),
)  # fmt: skip
"""From light to dark; a person's tone lies anywhere between two neighbours."""
HAIR: tuple[Colour, ...] = (
    (22, 18, 17), (38, 27, 22), (62, 40, 26), (95, 60, 34), (130, 85, 45), (180, 135, 80),
    (222, 190, 130), (160, 70, 35), (120, 118, 116), (190, 188, 184), (232, 230, 226),
)  # fmt: skip
DYED: tuple[Colour, ...] = ((205, 70, 130), (70, 110, 200), (60, 150, 110), (140, 70, 170))
CLOTH: tuple[Colour, ...] = (
    (192, 57, 43), (41, 98, 164), (39, 134, 92), (230, 160, 40), (120, 72, 150), (240, 240, 235),
    (45, 48, 56), (130, 135, 140), (220, 120, 90), (95, 150, 190), (70, 90, 60), (160, 110, 70),
    (235, 205, 120), (235, 170, 185), (30, 60, 90), (150, 40, 60),
)  # fmt: skip
INK: Colour = (32, 26, 26)
WHITE: Colour = (248, 246, 242)


def shade(colour: Colour, factor: float) -> Colour:
    """Returns the colour times ``factor``, darker below 1 and lighter above."""
    return tuple(min(255, int(channel * factor)) for channel in colour)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns the first colour with ``share`` of the second mixed in."""
    return tuple(int(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def jitter(dice: Dice, colour: Colour, amount: int = 12) -> Colour:
    """Returns the colour with each channel moved by at most ``amount``."""
    moved = (channel + dice.integer(-amount, amount) for channel in colour)
    return tuple(min(255, max(0, channel)) for channel in moved)


def any_colour(dice: Dice) -> Colour:
    """Returns any colour, seldom a loud one."""
    loud = dice.integer(0, 255), dice.integer(0, 255), dice.integer(0, 255)
    return mix(loud, (168, 156, 142), 0.8 * dice.unit())


def skin_tone(dice: Dice) -> Colour:
    """Returns a skin tone, evenly spread from light to dark."""
    place = dice.uniform(0, len(SKIN) - 1)
    step = int(place)
    return jitter(dice, mix(SKIN[step], SKIN[min(step + 1, len(SKIN) - 1)], place - step), 8)


def is_dark(skin: Colour) -> bool:
    """Returns whether small eyes show on this skin by their white rather than as dark spots."""
    return sum(skin) < 300


def hair_colour(dice: Dice, skin: Colour) -> Colour:
    """Returns a hair colour, now and then a dyed one, rarely a fair one on dark skin."""
    if dice.chance(0.04):
        return jitter(dice, dice.pick(DYED), 8)
    if is_dark(skin) and dice.chance(0.85):
        return jitter(dice, dice.pick(HAIR[:4] + HAIR[-3:-1]), 6)
    return jitter(dice, dice.pick(HAIR), 8)


def cloth_colour(dice: Dice) -> Colour:
    """Returns a colour of clothes."""
    return jitter(dice, dice.pick(CLOTH), 16)


class Shape(NamedTuple):
    """One path, P x 2 points, filled where the stroke has no width."""

    points: Points
    colour: Colour
    width: float = 0.0
    role: int = DETAIL


@dataclass(frozen=True)
class Figure:
    """Shapes in image pixels, back to front."""

    shapes: list[Shape]
    size: float  # height of what is shown (of the face, for a person)
    landmarks: Points | None = None  # 5 x 2, NaN where the face hides them; None without a face

    def face_points(self) -> Points:
        """Returns the points that bound the face."""
        return _points([shape for shape in self.shapes if shape.role == FACE])


def _points(shapes: Sequence[Shape]) -> Points:
    """Returns the points of all shapes, one after the other."""
    return np.concatenate([shape.points for shape in shapes])


def similarity(scale: float, angle: float, centre: tuple[float, float]) -> Points:
    """Returns the 2 x 3 matrix that scales, turns by ``angle`` (radians), moves to ``centre``."""
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]]])


def transform(points: Points, matrix: Points) -> Points:
    """Returns the N x 2 points after the 2 x 3 affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def moved(shapes: Sequence[Shape], points: Points, scale: float = 1.0) -> list[Shape]:
    """Returns the shapes with other points, which are given one after the other, and strokes."""
    found, first = [], 0
    for old, colour, width, role in shapes:
        last = first + len(old)
        found.append(Shape(points[first:last], colour, width * scale, role))
        first = last
    return found


def place(shapes: Sequence[Shape], matrix: Points, size: float) -> Figure:
    """Returns the shapes as a figure in image pixels."""
    points = transform(_points(shapes), matrix)
    return Figure(moved(shapes, points, math.hypot(matrix[0, 0], matrix[1, 0])), size)


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
    """Paints the figure over the image, in place; for ``light`` see ``scene.sample_light``."""
    stroke = max(shape.width for shape in figure.shapes) / 2 + 1
    points = _points(figure.shapes)
    low = np.maximum(np.floor(points.min(axis=0) - stroke), 0).astype(int)
    high = np.ceil(points.max(axis=0) + stroke).astype(int)
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
    points = (_points(figure.shapes) - low) * finer - 0.5
    for path, colour, stroke, role in moved(figure.shapes, points, finer):
        shown = _less_growth(path) if role == FACE else path
        _trace(patch, shown, (*colour, 255), stroke, cv2.LINE_AA)
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
    """Writes ``number`` into the pixels of the figure's face, and 0 where else it covers some."""
    for points, _, stroke, role in figure.shapes:
        if role != DETAIL:
            owner = number if role == FACE else 0
            _trace(owners, points - 0.5, owner, stroke, cv2.LINE_8)
