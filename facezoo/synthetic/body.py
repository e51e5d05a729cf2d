"""Bodies in clothes, in the units of the head, the foot of the neck at the origin."""

from __future__ import annotations

import numpy as np

from facezoo.synthetic.colours import INK, WHITE, Colour, cloth_colour, mix, shade
from facezoo.synthetic.dice import Dice
from facezoo.synthetic.figures import COVER, Shape, ellipse, path, unit_circle

FRONTS = ("plain", "stripes", "collar", "suit", "suit", "vee", "print")
BACKS = ("plain", "plain", "stripes", "print")


def draw_body(dice: Dice, skin: Colour, *, standing: bool, fine: bool, front: bool) -> list[Shape]:
    """Returns a dressed body.

    Args:
        dice: chance.
        skin: tone of neck, arms and legs.
        standing: drawn with legs, not only down to the chest.
        fine: always with what adorns the clothes, which small figures often go without.
        front: seen from before.
    """
    cloth = cloth_colour(dice)
    wide, reach = dice.uniform(1.25, 1.7), 4.4 if standing else 3.2
    torso = path(
        (-0.42, 0.05), (0.42, 0.05), (wide * 0.8, 0.32), (wide, 0.7), (wide * 0.88, reach),
        (-wide * 0.88, reach), (-wide, 0.7), (-wide * 0.8, 0.32),
    )  # fmt: skip
    shapes = _legs(dice, skin, wide, reach) if standing else []
    shapes.append(Shape(torso, cloth, role=COVER))
    if fine or dice.chance(0.4):
        shapes += _clothing(dice, cloth, skin, wide, reach, front)
    return shapes + _arms(dice, cloth, skin, wide, front)


def _legs(dice: Dice, skin: Colour, wide: float, top: float) -> list[Shape]:
    trousers, shoe = cloth_colour(dice), shade(cloth_colour(dice), 0.5)
    if dice.chance(0.25):
        skirt = path((-wide * 0.85, top), (wide * 0.85, top), (wide * 1.3, 7), (-wide * 1.3, 7))
        legs = [path((s * wide * 0.45, 6.8), (s * wide * 0.45, 8.7)) for s in (-1, 1)]
        below = [Shape(leg, shade(skin, 0.9), 0.5, COVER) for leg in legs]
        return [*below, Shape(skirt, trousers, role=COVER)]
    shapes = []
    for side in (-1, 1):
        hip, foot = side * wide * 0.45, side * wide * dice.uniform(0.4, 0.7)
        leg = path((hip, top - 0.3), (foot, 8.6))
        shapes.append(Shape(leg, trousers, wide * 0.75, COVER))
        shapes.append(Shape(ellipse(foot + 0.1 * side, 8.8, 0.55, 0.25, 12), shoe, role=COVER))
    return shapes


def _clothing(
    dice: Dice, cloth: Colour, skin: Colour, wide: float, reach: float, front: bool
) -> list[Shape]:
    kind = dice.pick(FRONTS if front else BACKS)
    other = cloth_colour(dice)
    round_neck = Shape(ellipse(0, 0.08, 0.42, 0.22, 16), shade(skin, 0.85))
    if kind == "stripes":
        rows = np.arange(0.9, reach, dice.uniform(0.5, 0.9))
        lines = [path((-wide * 0.93, y), (wide * 0.93, y)) for y in rows]
        return [*(Shape(line, other, 0.2) for line in lines), round_neck]
    if kind == "collar":
        flaps = [path((0, 0.65), (s * 0.5, 0.0), (s * 0.68, 0.35)) for s in (-1, 1)]
        buttons = [ellipse(0, y, 0.07, 0.07, 8) for y in np.arange(0.9, reach, 0.6)]
        return [
            *(Shape(flap, shade(cloth, 1.2)) for flap in flaps),
            *(Shape(button, WHITE) for button in buttons),
        ]
    if kind == "suit":
        shirt = path((-0.42, 0.03), (0.42, 0.03), (0, 1.9))
        tie = path((-0.1, 0.2), (0.1, 0.2), (0.16, 1.4), (0, 1.6), (-0.16, 1.4))
        return [Shape(shirt, WHITE), Shape(tie, other)]
    if kind == "vee":
        return [Shape(path((-0.4, 0.03), (0.4, 0.03), (0, 0.75)), shade(skin, 0.9))]
    if kind == "print":
        emblem = unit_circle(dice.integer(3, 8)) * 0.55 + (0, 1.7)
        return [round_neck, Shape(emblem, other)]
    return [round_neck]


def _arms(dice: Dice, cloth: Colour, skin: Colour, wide: float, front: bool) -> list[Shape]:
    shapes = []
    sleeve = shade(cloth, 0.88)
    for side in (-1, 1):
        shoulder = (side * wide * 0.86, 0.75)
        if dice.chance(0.1):
            elbow, hand = (side * wide * 1.55, 0.9), (side * wide * dice.uniform(1.4, 1.9), -0.9)
        elif front and dice.chance(0.25):
            elbow, hand = (side * wide * 1.2, 2.3), (side * wide * 0.2, dice.uniform(1.9, 2.6))
        else:
            elbow, hand = (side * wide * 1.1, 2.2), (side * wide * dice.uniform(0.9, 1.3), 3.7)
        shapes.append(Shape(ellipse(*hand, 0.26, 0.26, 12), skin, role=COVER))
        shapes.append(Shape(path(shoulder, elbow, hand)[:2], sleeve, 0.55, COVER))
        wrist = (hand[0] * 0.85 + elbow[0] * 0.15, hand[1] * 0.85 + elbow[1] * 0.15)
        lower = sleeve if dice.chance(0.6) else mix(skin, INK, 0.08)
        shapes.append(Shape(path(elbow, wrist), lower, 0.48, COVER))
    return shapes
