"""Scenes: where people and things stand, what is visible of their faces, painting and camera.

Planning and painting draw from generators of their own, so that the truth of an image is known
without painting it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.structures import NUM_LANDMARKS, Truth
from facezoo.synthetic.backdrops import draw_backdrop
from facezoo.synthetic.figures import FACE, Dice, Figure, Image, mark, paint
from facezoo.synthetic.person import draw_back_view, draw_person
from facezoo.synthetic.things import DISTRACTORS, OCCLUDERS, draw_thing

KINDS = ("empty",) * 2 + ("portrait",) * 6 + ("group",) * 12 + ("crowd",) * 5
LARGEST_SHARE = 0.95
"""No face is higher than this share of the image's shorter side."""
SEEN_SHARE = 0.3
"""A face of which less than this share is seen is ignored."""


@dataclass(frozen=True)
class Space:
    """Size of the image, lowest and highest face in pixels, and most faces of one image."""

    height: int
    width: int
    face_sizes: tuple[float, float]
    max_faces: int


class Spot(NamedTuple):
    """Where a face goes: its height and the middle of its box."""

    size: float
    x: float
    y: float


def plan_scene(dice: Dice, space: Space) -> list[Figure]:
    """Returns the figures of one scene, back to front; those with landmarks show a face."""
    kind = dice.pick(KINDS) if space.max_faces else "empty"
    low, high = space.face_sizes
    figures = []
    for _ in range(dice.integer(2, 8) if kind == "empty" else dice.integer(0, 5)):
        side = min(space.height, space.width)
        size = dice.log_uniform(max(12.0, low), max(24.0, min(1.2 * high, 0.5 * side)))
        at = (dice.uniform(0, space.width), dice.uniform(0, space.height))
        figures.append(draw_thing(dice, DISTRACTORS, size, at))
    if kind == "empty":
        spots = _group(dice, space, dice.integer(0, 2))
        return figures + [_figure(dice, space, spot, turned_away=1.0) for spot in reversed(spots)]
    if kind == "crowd":
        spots, turned_away, hidden = _crowd(dice, space), 0.1, 0.06
    else:
        count = 1 if kind == "portrait" else dice.integer(2, 8)
        spots = _group(dice, space, min(count, space.max_faces))
        turned_away, hidden = (0.0, 0.15) if kind == "portrait" else (0.08, 0.16)
    for spot in sorted(spots):
        figures.append(_figure(dice, space, spot, turned_away))
        if dice.chance(hidden):
            at = (spot.x + spot.size * dice.bell(0.25), spot.y + spot.size * dice.bell(0.3))
            size = spot.size * dice.uniform(0.4, 0.9)
            figures.append(draw_thing(dice, OCCLUDERS, size, at))
    return figures


def _figure(dice: Dice, space: Space, spot: Spot, turned_away: float) -> Figure:
    standing = spot.y + 2.2 * spot.size < space.height
    draw = draw_back_view if dice.chance(turned_away) else draw_person
    return draw(dice, spot.size, (spot.x, spot.y), standing=standing)


def _spot(dice: Dice, space: Space, size: float) -> Spot:
    """Returns a place whose middle is in the image; now and then its border cuts the face.

    What is left of the height is never less than the smallest size asked for.
    """
    spare = size - space.face_sizes[0]
    cut_x, cut_y = (min(0.3 * size, spare) if dice.chance(0.08) else 0.0 for _ in range(2))
    x = dice.uniform(0.42 * size - cut_x, space.width - 0.42 * size + cut_x)
    return Spot(size, x, dice.uniform(size / 2 - cut_y, space.height - size / 2 + cut_y))


def _group(dice: Dice, space: Space, count: int) -> list[Spot]:
    """Returns up to ``count`` places, the nearest first; a face that finds no room is left out."""
    sizes = sorted((dice.log_uniform(*space.face_sizes) for _ in range(count)), reverse=True)
    level, slope = dice.uniform(0.3, 0.55) * space.height, dice.uniform(-0.2, 1.0)
    on_ground, spots = dice.chance(0.6), list[Spot]()
    for size in sizes:
        allowed = 0.5 if dice.chance(0.2) else 0.0
        for _ in range(12):
            spot = _spot(dice, space, size)
            if on_ground:
                # On level ground, nearer people appear lower in the image.
                y = level + slope * size + dice.bell(0.2) * size
                spot = spot._replace(y=min(max(y, size / 2), space.height - size / 2))
            if _covered(spot, spots) <= allowed:
                spots.append(spot)
                break
    return spots


def _covered(spot: Spot, nearer: list[Spot]) -> float:
    """Returns the rough share of a face that nearer people's heads and bodies cover."""
    if not nearer:
        return 0.0
    steps = np.linspace(-0.45, 0.45, 5)
    x = (spot.x + 0.8 * spot.size * steps)[:, None, None]
    y = (spot.y + spot.size * steps)[:, None]
    size, at_x, at_y = np.array(nearer).T
    away, below = np.abs(x - at_x) / size, (y - at_y) / size
    head = (away < 0.55) & (np.abs(below + 0.05) < 0.7)
    body = (away < 0.9) & (below > 0.4) & (below < 2.5)
    return float((head | body).any(axis=-1).mean())


def _crowd(dice: Dice, space: Space) -> list[Spot]:
    """Returns rows of people, the farthest first, each row somewhat larger than the last."""
    low, high = space.face_sizes
    count = round(dice.log_uniform(min(9, space.max_faces), space.max_faces + 0.5))
    size = dice.log_uniform(low, max(low * 1.01, min(high, min(space.height, space.width) / 9)))
    growth, spread = dice.uniform(1.0, 1.2), dice.uniform(1.0, 1.9)
    y, spots = size * dice.uniform(0.7, 4.0), list[Spot]()
    while y + size / 2 < space.height and len(spots) < count:
        x = size * dice.uniform(0.45, 1.2)
        while x + 0.42 * size < space.width and len(spots) < count:
            own = min(high, max(low, size * dice.uniform(0.88, 1.12)))
            at_y = y + size * dice.bell(0.12)
            spots.append(Spot(own, x, min(max(at_y, own / 2), space.height - own / 2)))
            x += size * spread * dice.uniform(0.8, 1.5)
        y += size * dice.uniform(1.25, 2.0)
        size = min(high, size * growth)
    # Rows that do not fill the image stand anywhere in it, mostly low.
    lowest = max((spot.y + 3 * spot.size for spot in spots), default=0.0)
    down = max(0.0, space.height - lowest) * max(dice.unit(), dice.unit())
    return [spot._replace(y=spot.y + down) for spot in spots]


def annotate(figures: list[Figure], space: Space) -> Truth:
    """Returns the visible faces, computed from the paths of the figures without painting them."""
    owners = np.zeros((space.height, space.width), np.int32)
    for number, figure in enumerate(figures, start=1):
        mark(owners, figure, number)
    boxes, landmarks, ignore = [], [], []
    for number, figure in enumerate(figures, start=1):
        if figure.landmarks is None:
            continue
        points = figure.face_points()
        box = np.stack([points.min(axis=0), points.max(axis=0)])
        seen = _seen_share(figure, box, owners, number)
        if seen:
            boxes.append(np.clip(box, 0, (space.width, space.height)).ravel())
            landmarks.append(_seen_landmarks(figure.landmarks, owners, number))
            ignore.append(seen < SEEN_SHARE)
    return Truth(
        # In the precision of the boxes that a sample has.
        np.array(boxes, np.float32).reshape(-1, 4).astype(np.float64),
        np.array(ignore, bool),
        np.array(landmarks, np.float32).reshape(-1, NUM_LANDMARKS, 2),
    )


def _seen_share(
    figure: Figure, box: NDArray[np.float64], owners: NDArray[np.int32], number: int
) -> float:
    """Returns the share of a face's pixels that are in the image with nothing before them."""
    low = np.floor(box[0]).astype(int) - 1
    high = np.ceil(box[1]).astype(int) + 2
    left, top = np.maximum(low, 0)
    seen = np.count_nonzero(owners[top : max(0, high[1]), left : max(0, high[0])] == number)
    if not seen:
        return 0.0
    alone = np.zeros((high - low)[::-1], np.int32)
    skin = [one._replace(points=one.points - low) for one in figure.shapes if one.role == FACE]
    mark(alone, Figure(skin, figure.size), number)
    return seen / cv2.countNonZero(alone)


def _seen_landmarks(
    landmarks: NDArray[np.float64], owners: NDArray[np.int32], number: int
) -> NDArray[np.float64]:
    """Returns the landmarks, NaN where they are outside or lie more than a pixel off the face."""
    height, width = owners.shape
    seen = np.full((NUM_LANDMARKS, 2), np.nan)
    for index, (x, y) in enumerate(landmarks.tolist()):
        if not (0 <= x < width and 0 <= y < height):
            continue
        near = owners[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2]
        if (near == number).any():
            seen[index] = x, y
    return seen


def paint_scene(dice: Dice, figures: list[Figure], space: Space) -> NDArray[np.uint8]:
    """Returns the picture of the scene, H x W x 3, RGB."""
    image = draw_backdrop(dice, space.height, space.width)
    light = sample_light(dice)
    for figure in figures:
        paint(image, figure, light)
    sizes = [figure.size for figure in figures if figure.landmarks is not None]
    image = photograph(dice, image, min(sizes, default=float(space.height)))
    return np.asarray(image, np.uint8)


SHARPEST_BLUR = 0.05
"""Largest standard deviation of blur, as a share of the smallest face's height."""


def sample_light(dice: Dice) -> Image:
    """Returns the brightness (255 is full) at the corners of each figure, 2 x 2 x RGBA."""
    darkest = dice.uniform(0.55, 0.95)
    side, top = dice.uniform(-1, 1), dice.uniform(0, 1)
    corners = np.array([[side + top, top - side], [side - top, -side - top]]) / 2
    level = 1 - (1 - darkest) * (1 - corners) / 2
    warmth = dice.bell(0.03)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    light = np.full((2, 2, 4), 255, np.uint8)
    light[..., :3] = np.clip(level[..., None] * tint * 255, 0, 255)
    return light


def photograph(dice: Dice, image: Image, smallest: float) -> Image:
    """Returns the scene as a camera of any quality sees it.

    The smallest face, ``smallest`` pixels high, has to stay detectable.
    """
    if dice.chance(0.4):
        image = _uneven_light(dice, image)
    if dice.chance(0.3):
        image = _blur(dice, image, smallest)
    if dice.chance(0.6):
        image = _develop(dice, image)
    if dice.chance(0.06):
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if dice.chance(0.5):
        image = _grain(dice, image, smallest)
    if dice.chance(0.12):
        quality = dice.integer(35, 85) if smallest > 12 else dice.integer(70, 90)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


def _uneven_light(dice: Dice, image: Image) -> Image:
    darkest = dice.integer(90, 220)
    field = dice.generator.integers(darkest, 256, (2, 3), np.uint8)
    field = cv2.resize(field, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, cv2.cvtColor(field, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def _blur(dice: Dice, image: Image, smallest: float) -> Image:
    sigma = min(dice.uniform(0.5, 2.2), SHARPEST_BLUR * smallest)
    if sigma < 0.3:
        return image
    if dice.chance(0.6):
        return cv2.GaussianBlur(image, (0, 0), sigma)
    # A line of length l blurs along itself like a Gaussian of l / sqrt(12).
    length = max(2.0, sigma * math.sqrt(12))
    angle, middle = dice.uniform(0, math.pi), int(length) // 2 + 1
    kernel = np.zeros((2 * middle + 1, 2 * middle + 1), np.float32)
    across, down = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = [(round((middle + s * across) * 16), round((middle + s * down) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _develop(dice: Dice, image: Image) -> Image:
    """Exposure, contrast (sometimes very low) and a colour cast, as one table per channel."""
    contrast = dice.uniform(0.35, 0.6) if dice.chance(0.14) else dice.uniform(0.75, 1.2)
    middle, gamma = dice.uniform(90, 160), math.exp(dice.bell(0.22))
    levels = 255 * (np.arange(256) / 255) ** gamma
    levels = (levels - 128) * contrast + 128 + (middle - 128) * min(1.0, abs(1.3 - contrast))
    cast = np.array([1 + dice.bell(0.035), 1.0, 1 + dice.bell(0.035)])
    table = np.clip(levels[:, None] * cast, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def _grain(dice: Dice, image: Image, smallest: float) -> Image:
    strength = dice.uniform(0.02, 0.15 if smallest > 12 else 0.08)
    size = image.shape if dice.chance(0.5) else (*image.shape[:2], 1)
    values = dice.generator.integers(0, 256, size, np.uint8)
    if size[2] == 1:
        values = cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, 1.0, values, strength, -127.5 * strength)
