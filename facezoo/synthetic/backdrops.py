"""Backgrounds of scenes. Nothing here is a face, though some of it resembles one."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from facezoo.synthetic.figures import Colour, Dice, Image, any_colour, jitter, mix, shade, skin_tone

GREENS: tuple[Colour, ...] = ((30, 52, 24), (60, 92, 40), (96, 128, 60), (160, 176, 96))
EARTH: tuple[Colour, ...] = ((70, 56, 44), (120, 100, 78), (160, 140, 112), (196, 180, 150))
SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 150, 215), (205, 226, 240)),
    ((150, 165, 180), (215, 218, 220)),
    ((60, 70, 120), (240, 170, 120)),
    ((20, 26, 48), (60, 66, 96)),
)

WORDS = (
    "CAFE", "OPEN", "ZOO", "BOOKS", "HOTEL", "BAKERY", "EXIT", "NEWS", "CINEMA", "MUSEUM", "No. 8",
    "SALE %", "good food", "Welcome", "oo", "(o o)", "8:08", "TO GO", "facezoo",
)  # fmt: skip


def coloured(values: Image, stops: tuple[Colour, ...]) -> Image:
    """Returns H x W values (0 to 255) as colours that run through the stops."""
    places, channels = np.linspace(0, len(stops) - 1, 256), np.array(stops, np.float64).T
    table = [np.interp(places, np.arange(len(stops)), channel) for channel in channels]
    colours = np.stack(table, axis=1).astype(np.uint8)
    return cv2.LUT(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB), colours[None])


def noise(dice: Dice, height: int, width: int, cells: float) -> Image:
    """Returns smooth noise, H x W, three octaves, the coarsest of ``cells`` over the width."""
    total: Image = np.zeros((height, width), np.uint8)
    for octave, weight in ((1, 0.5), (2.7, 0.3), (7, 0.2)):
        columns = max(2, min(width, round(cells * octave)))
        rows = max(2, min(height, round(cells * octave * height / width)))
        values = dice.generator.integers(0, 256, (rows, columns), np.uint8)
        smooth = cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC)
        total = cv2.addWeighted(total, 1.0, smooth, weight, 0)
    return cv2.LUT(total, np.clip(np.arange(256) * 1.8 - 100, 0, 255).astype(np.uint8))


def gradient(dice: Dice, height: int, width: int) -> Image:
    """A few colours that flow into each other."""
    size = dice.integer(2, 4)
    colours = np.array([any_colour(dice) for _ in range(size * size)], np.uint8)
    colours = colours.reshape(size, size, 3)
    return cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC)


def texture(dice: Dice, height: int, width: int) -> Image:
    """Marble, carpet, rust, cloud: noise between three or four colours."""
    stops = tuple(any_colour(dice) for _ in range(dice.integer(2, 4)))
    return coloured(noise(dice, height, width, dice.log_uniform(2, 60)), stops)


def foliage(dice: Dice, height: int, width: int) -> Image:
    """Leaves in light and shade."""
    image = coloured(noise(dice, height, width, dice.log_uniform(8, 60)), GREENS)
    for _ in range(dice.integer(20, 60)):
        axes = (dice.integer(2, max(3, width // 30)), dice.integer(1, max(2, width // 60)))
        at = (dice.integer(0, width), dice.integer(0, height))
        green = shade(dice.pick(GREENS), dice.uniform(0.6, 1.5))
        cv2.ellipse(image, at, axes, dice.uniform(0, 180), 0, 360, green, -1)
    return image


def stripes(dice: Dice, height: int, width: int) -> Image:
    """Stripes, or plaid of two directions."""
    angle, period = dice.uniform(0, math.pi), dice.log_uniform(6, 80)
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)
    phase = (x * math.cos(angle) + y * math.sin(angle)) % period
    values = (phase < period * dice.uniform(0.3, 0.7)).astype(np.uint8) * 170
    if dice.chance(0.4):
        across = (y * math.cos(angle) - x * math.sin(angle)) % period
        values = values + (across < period * dice.uniform(0.2, 0.6)) * np.uint8(85)
    return coloured(values, (any_colour(dice), any_colour(dice), any_colour(dice)))


def bricks(dice: Dice, height: int, width: int) -> Image:
    """A wall of bricks or tiles, each in its own shade."""
    tall = dice.integer(6, max(8, height // 8))
    wide = round(tall * dice.uniform(1, 3))
    shape = (height // tall + 2, width // wide + 2)
    values = dice.generator.integers(60, 200, shape, np.uint8)
    values = cv2.resize(values, None, fx=wide, fy=tall, interpolation=cv2.INTER_NEAREST)
    values[::tall] = 255
    shift = wide // 2 if dice.chance(0.7) else 0
    for row in range(shape[0]):
        values[row * tall : (row + 1) * tall, shift * (row % 2) :: wide] = 255
    base, mortar = any_colour(dice), any_colour(dice)
    values = np.ascontiguousarray(values[:height, :width])
    return coloured(values, (shade(base, 0.6), base, shade(base, 1.2), mortar))


def polygons(dice: Dice, height: int, width: int) -> Image:
    """Many overlapping polygons and discs, as on a poster."""
    image = gradient(dice, height, width)
    for _ in range(dice.integer(15, 60)):
        at = np.array((dice.uniform(0, width), dice.uniform(0, height)))
        radius = dice.log_uniform(0.02, 0.3) * width
        colour = skin_tone(dice) if dice.chance(0.15) else any_colour(dice)
        if dice.chance(0.25):
            thickness = -1 if dice.chance(0.6) else 2
            cv2.circle(image, (int(at[0]), int(at[1])), int(radius * 0.5), colour, thickness)
            continue
        corners = dice.generator.uniform(-radius, radius, (dice.integer(3, 6), 2)) + at
        cv2.fillPoly(image, [corners.astype(np.int32)], colour)
    return image


def room(dice: Dice, height: int, width: int) -> Image:
    """A wall with pictures and shelves over a floor."""
    wall = mix(any_colour(dice), (235, 228, 215), dice.uniform(0.3, 0.8))
    image = np.full((height, width, 3), wall, np.uint8)
    if dice.chance(0.4):
        image[:, :: dice.integer(6, 30)] = shade(wall, 0.88)
    floor = int(height * dice.uniform(0.6, 0.95))
    boards = coloured(noise(dice, height - floor, width, 6), EARTH)
    boards[:: max(3, height // 30)] = shade(EARTH[0], 0.8)
    image[floor:] = boards
    cv2.rectangle(image, (0, floor - height // 40), (width, floor), shade(wall, 1.15), -1)
    for _ in range(dice.integer(1, 4)):
        _picture(dice, image)
    for _ in range(dice.integer(0, 2)):
        _shelf(dice, image)
    return image


def _picture(dice: Dice, image: Image) -> None:
    height, width = image.shape[:2]
    wide, high = (int(dice.uniform(0.1, 0.35) * width) for _ in range(2))
    left, top = dice.integer(-wide // 2, width), dice.integer(0, height // 2)
    frame = dice.pick(((60, 40, 26), (190, 160, 90), (30, 30, 32), (240, 240, 238)))
    cv2.rectangle(image, (left, top), (left + wide, top + high), frame, -1)
    edge = max(2, width // 90)
    inner = image[top + edge : top + high - edge, max(0, left + edge) : max(0, left + wide - edge)]
    if inner.size:
        inner[...] = dice.pick((texture, gradient, foliage))(dice, *inner.shape[:2])


def _shelf(dice: Dice, image: Image) -> None:
    height, width = image.shape[:2]
    base, tall = dice.integer(height // 6, int(height * 0.7)), int(height * dice.uniform(0.08, 0.2))
    x, end = dice.integer(-width // 4, width // 2), dice.integer(width // 2, width)
    cv2.rectangle(image, (x, base), (end, base + max(2, height // 60)), (92, 66, 44), -1)
    while x < end:
        wide = max(2, int(tall * dice.uniform(0.12, 0.35)))
        top = base - int(tall * dice.uniform(0.7, 1.0))
        cv2.rectangle(image, (x, top), (x + wide, base), any_colour(dice), -1)
        x += wide + 1


def sky(dice: Dice, height: int, width: int) -> Image:
    """Day, grey day, dusk or night, with clouds."""
    above, below = dice.pick(SKIES)
    column = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    image = coloured(np.repeat(column, width, axis=1), (above, below))
    clouds = cv2.cvtColor(noise(dice, height, width, 3), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, 0.85, clouds, 0.15, 0)


def street(dice: Dice, height: int, width: int) -> Image:
    """Houses with rows of windows and signs under a sky, over a road."""
    image = sky(dice, height, width)
    ground = int(height * dice.uniform(0.65, 0.95))
    x = -dice.integer(0, width // 5)
    while x < width:
        wide = int(width * dice.uniform(0.15, 0.4))
        top = int(ground * dice.uniform(0.0, 0.6))
        wall = mix(any_colour(dice), (170, 150, 130), 0.5)
        cv2.rectangle(image, (x, top), (x + wide, ground), wall, -1)
        _windows(dice, image, (x, top, x + wide, ground), wall)
        x += wide + dice.integer(0, width // 30)
    road = noise(dice, height - ground, width, 20)
    image[ground:] = coloured(road, ((60, 60, 64), (110, 108, 106), (140, 138, 134)))
    for _ in range(dice.integer(0, 3)):
        write(dice, image, int(ground * 0.9))
    return image


def _windows(dice: Dice, image: Image, wall: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, right, bottom = wall
    pane = max(4, int((right - left) * dice.uniform(0.1, 0.22)))
    glass = jitter(dice, dice.pick(((60, 74, 92), (240, 214, 130), (150, 185, 205))))
    for y in range(top + pane // 2, bottom - pane, pane * 2):
        for x in range(left + pane // 2, right - pane, int(pane * 1.7)):
            lit = shade(glass, dice.uniform(0.6, 1.15))
            cv2.rectangle(image, (x, y), (x + pane, y + int(pane * 1.3)), lit, -1)
            cv2.rectangle(image, (x, y), (x + pane, y + int(pane * 1.3)), shade(colour, 0.7), 1)


def park(dice: Dice, height: int, width: int) -> Image:
    """Trees and hills under a sky, over grass."""
    image = sky(dice, height, width)
    horizon = int(height * dice.uniform(0.35, 0.75))
    for _ in range(dice.integer(1, 3)):
        at = (dice.integer(0, width), horizon + height // 4)
        axes = (int(width * dice.uniform(0.4, 0.8)), int(height * dice.uniform(0.3, 0.5)))
        cv2.ellipse(image, at, axes, 0, 0, 360, mix(dice.pick(GREENS), (150, 170, 190), 0.5), -1)
    image[horizon:] = coloured(noise(dice, height - horizon, width, 24), GREENS[1:])
    leaves = coloured(noise(dice, height, width, 40), GREENS)
    for _ in range(dice.integer(1, 6)):
        _tree(dice, image, leaves, horizon)
    return image


def _tree(dice: Dice, image: Image, leaves: Image, horizon: int) -> None:
    height, width = image.shape[:2]
    size = int(height * dice.uniform(0.08, 0.25))
    x, foot = dice.integer(0, width), horizon + dice.integer(0, height // 6)
    top = foot - int(size * 2.2)
    cv2.line(image, (x, foot), (x, top), (72, 52, 38), max(2, size // 5))
    crown = np.zeros((height, width), np.uint8)
    for _ in range(6):
        at = (x + dice.integer(-size // 2, size // 2), top + dice.integer(-size // 2, size // 2))
        cv2.circle(crown, at, int(size * 0.6), 255, -1)
    cv2.copyTo(leaves, crown, image)


def write(dice: Dice, image: Image, lowest: int) -> None:
    """Writes a word in letters of any size, on a sign or straight on the image."""
    word = dice.pick(WORDS)
    if dice.chance(0.4):
        word = "".join(
            dice.pick("ABCDEFGHKLMNOPRSTUVXYZ02389!?&%") for _ in range(dice.integer(1, 8))
        )
    width = image.shape[1]
    scale = dice.log_uniform(0.3, 1.6) * width / 320
    thick = dice.integer(1, max(1, round(scale * 3)))
    font = dice.pick((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_PLAIN))
    (wide, high), base = cv2.getTextSize(word, font, scale, thick)
    at = (dice.integer(-wide // 3, width), dice.integer(high, max(high, lowest)))
    if dice.chance(0.6):
        low, corner = (at[0] - 4, at[1] - high - 4), (at[0] + wide + 4, at[1] + base)
        cv2.rectangle(image, low, corner, any_colour(dice), -1)
    cv2.putText(image, word, at, font, scale, any_colour(dice), thick, cv2.LINE_AA)


PLACES: tuple[Callable[[Dice, int, int], Image], ...] = (
    room, room, room, street, street, street, park, park, park, gradient, texture, foliage, stripes,
    bricks, polygons,
)  # fmt: skip


def draw_backdrop(dice: Dice, height: int, width: int) -> Image:
    """Returns a place, H x W x 3, sometimes with writing over it or out of focus."""
    image = np.ascontiguousarray(dice.pick(PLACES)(dice, height, width))
    if dice.chance(0.2):
        for _ in range(dice.integer(1, 3)):
            write(dice, image, height)
    if dice.chance(0.3):
        image = cv2.GaussianBlur(image, (0, 0), dice.uniform(0.8, 3.0))
    return image
