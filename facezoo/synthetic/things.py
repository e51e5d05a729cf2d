"""Things that are not faces: some invite false positives, others hide faces.

Each thing is drawn in units of its own, about from -1 to 1.
"""

import math
from collections.abc import Callable

import numpy as np

from facezoo.synthetic.figures import (
    COVER,
    INK,
    WHITE,
    Colour,
    Dice,
    Figure,
    Shape,
    any_colour,
    box,
    cloth_colour,
    ellipse,
    jitter,
    path,
    place,
    shade,
    similarity,
    skin_tone,
    transform,
    unit_circle,
)

Maker = Callable[[Dice], list[Shape]]
METAL: Colour = (150, 154, 160)
WOOD: Colour = (134, 92, 56)


def ball(dice: Dice) -> list[Shape]:
    """A ball with a band, patches or nothing on it, and a gleam."""
    colour, other = any_colour(dice), any_colour(dice)
    shapes = [Shape(unit_circle(40), colour, role=COVER)]
    kind = dice.integer(0, 2)
    if kind == 0:
        shapes.append(Shape(ellipse(0, 0, 1, 0.35), other))
    elif kind == 1:
        for angle in np.arange(5) * 2 * math.pi / 5 + 0.3:
            spot = unit_circle(5) * 0.24 + (0.68 * math.cos(angle), 0.68 * math.sin(angle))
            shapes.append(Shape(spot, other))
        shapes.append(Shape(unit_circle(5) * 0.27, other))
    return [*shapes, Shape(ellipse(-0.35, -0.4, 0.2, 0.14), shade(colour, 1.35))]


def skin_oval(dice: Dice) -> list[Shape]:
    """An oval in the colour of skin, with a shadow but no feature, sometimes with hair."""
    skin = skin_tone(dice)
    shapes = [Shape(ellipse(0, 0, 0.76, 1, 40), skin, role=COVER)]
    if dice.chance(0.5):
        shapes.insert(0, Shape(ellipse(0, -0.2, 0.84, 1.05, 40), shade(skin, 0.4), role=COVER))
    return [*shapes, Shape(ellipse(0.12, 0.25, 0.4, 0.5), shade(skin, 0.95))]


def clock(dice: Dice) -> list[Shape]:
    """A clock face: rim, twelve strokes and two hands."""
    rim = cloth_colour(dice)
    dial = dice.pick((WHITE, (250, 236, 205), (40, 44, 52), skin_tone(dice)))
    hands = INK if sum(dial) > 300 else WHITE
    shapes = [Shape(unit_circle(40), rim, role=COVER), Shape(unit_circle(40) * 0.87, dial)]
    for spoke in unit_circle(12):
        shapes.append(Shape(np.stack([spoke * 0.7, spoke * 0.82]), hands, 0.05))
    for length, width in ((0.4, 0.09), (0.64, 0.06)):
        angle = dice.uniform(0, 2 * math.pi)
        tip = (length * math.cos(angle), length * math.sin(angle))
        shapes.append(Shape(path((0, 0), tip), hands, width))
    return shapes


def wheel(dice: Dice) -> list[Shape]:
    """A wheel: tyre, rim, spokes and hub."""
    spokes = unit_circle(dice.pick((5, 6, 8, 10))) * 0.7
    return [
        Shape(unit_circle(40), (38, 38, 42), role=COVER),
        Shape(unit_circle(32) * 0.74, shade(METAL, dice.uniform(0.8, 1.3))),
        Shape(unit_circle(32) * 0.62, shade(METAL, 0.5)),
        *(Shape(np.stack([0.1 * tip, tip]), METAL, 0.12) for tip in spokes),
        Shape(unit_circle(12) * 0.2, METAL),
    ]


def blank_smiley(dice: Dice) -> list[Shape]:
    """A yellow disc with a rim: a smiley without eyes and mouth."""
    colour = jitter(dice, (250, 205, 60))
    return [
        Shape(unit_circle(40), shade(colour, 0.7), role=COVER),
        Shape(unit_circle(40) * 0.92, colour),
        Shape(ellipse(-0.3, -0.4, 0.28, 0.2), shade(colour, 1.1)),
    ]


def window(dice: Dice) -> list[Shape]:
    """A window of two or four panes."""
    frame, glass = dice.pick((WHITE, WOOD, (70, 74, 80))), jitter(dice, (150, 190, 215), 30)
    shapes = [Shape(box(-0.8, -1, 0.8, 1), frame, role=COVER)]
    rows = dice.pick(((-0.88, 0.88), (-0.88, -0.05, 0.05, 0.88)))
    for top, bottom in zip(rows[::2], rows[1::2], strict=True):
        for left, right in ((-0.7, -0.05), (0.05, 0.7)):
            pane = box(left, top, right, bottom)
            shapes.append(Shape(pane, shade(glass, dice.uniform(0.7, 1.1))))
    return shapes


def dots(dice: Dice) -> list[Shape]:
    """A plate with two dots, upright or not: sockets, buttons, lamps."""
    plate, dot = any_colour(dice), any_colour(dice)
    base = box(-0.9, -0.9, 0.9, 0.9) if dice.chance(0.5) else unit_circle(32)
    radius, apart = dice.uniform(0.1, 0.25), dice.uniform(0.3, 0.5)
    shapes = [Shape(base, plate, role=COVER), Shape(base * 0.85, shade(plate, 1.1))]
    return shapes + [Shape(unit_circle(16) * radius + (side * apart, 0), dot) for side in (-1, 1)]


def doll(dice: Dice) -> list[Shape]:
    """The body of a doll without a head: trunk, arms and legs."""
    skin, cloth = skin_tone(dice), cloth_colour(dice)
    shapes = []
    for side in (-1, 1):
        arm = path((side * 0.3, -0.6), (side * 0.75, dice.uniform(-0.9, 0.2)))
        shapes.append(Shape(arm, skin, 0.2, COVER))
        shapes.append(Shape(path((side * 0.18, 0.2), (side * 0.3, 0.95)), skin, 0.24, COVER))
    dress = path((-0.3, -0.75), (0.3, -0.75), (0.5, 0.45), (-0.5, 0.45))
    neck = Shape(box(-0.1, -0.95, 0.1, -0.7), skin, role=COVER)
    return [*shapes, neck, Shape(dress, cloth, role=COVER)]


def hand(dice: Dice) -> list[Shape]:
    """A hand with spread or closed fingers."""
    skin = skin_tone(dice)
    spread = dice.uniform(0.05, 0.3)
    shapes = [Shape(box(-0.3, 0.3, 0.3, 1.2), shade(skin, 0.92), role=COVER)]
    for finger in (-1.5, -0.5, 0.5, 1.5):
        angle = finger * spread
        root = (finger * 0.22, 0.0)
        tip = (root[0] + 0.85 * math.sin(angle), root[1] - 0.95 * math.cos(angle))
        shapes.append(Shape(path(root, tip), shade(skin, 0.96 + 0.03 * finger), 0.21, COVER))
    thumb = path((0.35, 0.35), (0.8, -0.1))
    palm = ellipse(0, 0.2, 0.47, 0.42)
    return [*shapes, Shape(thumb, skin, 0.24, COVER), Shape(palm, skin, role=COVER)]


def cup(dice: Dice) -> list[Shape]:
    """A paper cup with a lid."""
    colour = cloth_colour(dice)
    return [
        Shape(path((-0.62, -0.7), (0.62, -0.7), (0.45, 1), (-0.45, 1)), WHITE, role=COVER),
        Shape(path((-0.58, -0.25), (0.58, -0.25), (0.5, 0.5), (-0.5, 0.5)), colour),
        Shape(box(-0.7, -0.9, 0.7, -0.66), shade(colour, 0.6), role=COVER),
    ]


def bottle(dice: Dice) -> list[Shape]:
    """A bottle with a label."""
    glass = jitter(dice, dice.pick(((50, 110, 70), (120, 70, 30), (170, 205, 215))))
    body = path(
        (-0.12, -1), (0.12, -1), (0.14, -0.5), (0.36, -0.2), (0.36, 1), (-0.36, 1), (-0.36, -0.2),
        (-0.14, -0.5),
    )  # fmt: skip
    label = Shape(box(-0.36, 0.1, 0.36, 0.6), WHITE)
    return [Shape(body, glass, role=COVER), label, Shape(box(-0.14, -1.06, 0.14, -0.88), INK)]


def book(dice: Dice) -> list[Shape]:
    """A book, newspaper or sign with lines of writing."""
    cover = dice.pick((cloth_colour(dice), WHITE))
    ink = INK if sum(cover) > 330 else WHITE
    shapes = [Shape(box(-0.78, -1, 0.78, 1), cover, role=COVER)]
    for y in np.arange(-0.75, 0.8, dice.uniform(0.2, 0.4)):
        line = path((-0.6, float(y)), (dice.uniform(0, 0.6), float(y)))
        shapes.append(Shape(line, ink, 0.07))
    return shapes


def telephone(dice: Dice) -> list[Shape]:
    """The back of a mobile telephone with its lenses."""
    colour = dice.pick(((35, 36, 40), (200, 205, 210), cloth_colour(dice)))
    lenses = [ellipse(-0.25, y, 0.11, 0.11, 12) for y in (-0.78, -0.45)]
    return [
        Shape(box(-0.5, -1, 0.5, 1), colour, role=COVER),
        Shape(box(-0.42, -0.94, -0.08, -0.28), shade(colour, 0.7)),
        *(Shape(lens, INK) for lens in lenses),
    ]


def microphone(dice: Dice) -> list[Shape]:
    """A microphone on its stand."""
    return [
        Shape(path((0, 0), (dice.uniform(-0.4, 0.4), 3)), (50, 50, 54), 0.2, COVER),
        Shape(ellipse(0, -0.3, 0.4, 0.55), (70, 72, 78), role=COVER),
        Shape(path((-0.4, -0.15), (0.4, -0.15)), METAL, 0.1),
    ]


def balloon(dice: Dice) -> list[Shape]:
    """A balloon on a string."""
    colour = cloth_colour(dice)
    return [
        Shape(path((0, 0.95), (0.15, 1.6), (-0.05, 2.2)), INK, 0.03),
        Shape(ellipse(0, 0, 0.78, 1, 40), colour, role=COVER),
        Shape(ellipse(-0.28, -0.4, 0.14, 0.24), shade(colour, 1.35)),
    ]


def branch(dice: Dice) -> list[Shape]:
    """A twig with leaves."""
    green = jitter(dice, (70, 120, 50), 30)
    shapes = [Shape(path((-1.1, 0.5), (0, 0.1), (1.1, -0.4)), WOOD, 0.09, COVER)]
    leaf = ellipse(0, 0, 0.34, 0.15, 10)
    for step in np.linspace(-1, 1, 9):
        turned = transform(leaf, similarity(1, dice.uniform(0, math.pi), (0, 0)))
        at = (step + dice.bell(0.08), -0.4 * step + dice.bell(0.25))
        shapes.append(Shape(turned + at, shade(green, dice.uniform(0.7, 1.3)), role=COVER))
    return shapes


def pole(dice: Dice) -> list[Shape]:
    """A post, longer than any scene is high."""
    colour = dice.pick((METAL, WOOD, (60, 62, 66)))
    return [
        Shape(box(-0.3, -8, 0.3, 12), colour, role=COVER),
        Shape(box(-0.2, -8, -0.08, 12), shade(colour, 1.25)),
    ]


def lamp(dice: Dice) -> list[Shape]:
    """A lamp with a shade and a round foot."""
    cloth = jitter(dice, (240, 215, 150), 25)
    return [
        Shape(path((0, -0.2), (0, 0.9)), WOOD, 0.1, COVER),
        Shape(path((-0.35, -1), (0.35, -1), (0.75, 0), (-0.75, 0)), cloth, role=COVER),
        Shape(ellipse(0, 0.92, 0.42, 0.12), shade(WOOD, 0.8), role=COVER),
    ]


def flower(dice: Dice) -> list[Shape]:
    """A flower with a large round middle."""
    petal, heart = cloth_colour(dice), jitter(dice, (120, 80, 40), 30)
    shapes = [Shape(path((0, 0), (0.1, 2.4)), (70, 120, 60), 0.1, COVER)]
    count = dice.integer(8, 13)
    for spoke in unit_circle(count):
        leaf = ellipse(0.72, 0, 0.32, 0.17, 10)
        turned = transform(leaf, similarity(1, math.atan2(spoke[1], spoke[0]), (0, 0)))
        shapes.append(Shape(turned, petal, role=COVER))
    return [*shapes, Shape(unit_circle(24) * 0.5, heart, role=COVER)]


def traffic_light(dice: Dice) -> list[Shape]:
    """Three round lamps in a dark housing."""
    lit = dice.integer(0, 2)
    shapes = [Shape(box(-0.42, -1, 0.42, 1), (44, 46, 48), role=COVER)]
    for row, colour in enumerate(((230, 60, 50), (240, 190, 60), (70, 200, 110))):
        lamp_colour = colour if row == lit else shade(colour, 0.35)
        shapes.append(Shape(ellipse(0, 0.62 * (row - 1), 0.25, 0.25, 20), lamp_colour))
    return shapes


def plate(dice: Dice) -> list[Shape]:
    """A plate of food seen from above."""
    shapes = [
        Shape(unit_circle(40), WHITE, role=COVER),
        Shape(unit_circle(40) * 0.72, shade(WHITE, 0.92)),
    ]
    for _ in range(dice.integer(0, 4)):
        at = (dice.bell(0.25), dice.bell(0.25))
        size = dice.uniform(0.12, 0.3)
        shapes.append(Shape(unit_circle(12) * size + at, any_colour(dice)))
    return shapes


DISTRACTORS: tuple[Maker, ...] = (
    ball, ball, skin_oval, skin_oval, clock, clock, wheel, blank_smiley, window, window, dots, dots,
    doll, hand, hand, cup, bottle, book, balloon, lamp, flower, traffic_light, plate, branch,
)  # fmt: skip
OCCLUDERS: tuple[Maker, ...] = (
    hand, hand, cup, book, telephone, telephone, microphone, balloon, branch, branch, pole, ball,
    bottle, flower,
)  # fmt: skip


def draw_thing(
    dice: Dice, makers: tuple[Maker, ...], size: float, centre: tuple[float, float]
) -> Figure:
    """Returns one of the things, ``size`` pixels high and somewhat turned."""
    angle = dice.uniform(-math.pi, math.pi) if dice.chance(0.15) else dice.bell(0.15)
    return place(dice.pick(makers)(dice), similarity(size / 2, angle, centre), size)
