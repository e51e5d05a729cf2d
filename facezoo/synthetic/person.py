"""People: a head on a body, placed so that the face has an exact height and middle.

Head and body are drawn in the units of the head (see ``look``); of a body the foot of the neck is
the origin.
"""

import math

import numpy as np

from facezoo.synthetic.features import draw_features, eyewear
from facezoo.synthetic.figures import (
    CLOTH,
    COVER,
    FACE,
    INK,
    WHITE,
    Colour,
    Dice,
    Figure,
    Points,
    Shape,
    box,
    cloth_colour,
    ellipse,
    jitter,
    mix,
    path,
    place,
    shade,
    similarity,
    transform,
    unit_circle,
)
from facezoo.synthetic.look import (
    BACK_SHIFT,
    HATS,
    Look,
    Pose,
    fringe,
    hair_behind,
    hat_before,
    hat_behind,
    landmark_points,
    on_head,
    outline,
    sample_look,
    sample_pose,
    sample_style,
)

FRONTS = ("plain", "stripes", "collar", "suit", "suit", "vee", "print")
BACKS = ("plain", "plain", "stripes", "print")
FINE_HEIGHT = 22
"""Faces at least this high, in pixels, are drawn with their details."""
ONE_EAR = 0.3
"""A yaw, in radians, from which on only one ear shows."""


def draw_person(
    dice: Dice, height: float, centre: tuple[float, float], *, standing: bool
) -> Figure:
    """Returns a person whose face's upright box is ``height`` pixels high around ``centre``.

    It has legs where it is ``standing``, and else ends at the chest.
    """
    look, pose, fine = sample_look(dice), sample_pose(dice), height >= FINE_HEIGHT
    neck = box(-0.36, 0.4, 0.36, 1.3) - (BACK_SHIFT * math.sin(pose.yaw), 0)
    behind, before, scarf = _worn(dice, look, pose)
    ears = [] if scarf else _ears(look, pose, fine=fine)
    turned_away = abs(pose.yaw) >= ONE_EAR
    shapes = [
        *behind,
        Shape(neck, scarf or shade(look.skin, 0.78), role=COVER),
        *([] if turned_away else ears),
        Shape(outline(look, pose), look.skin, role=FACE),
        *draw_features(look, pose, fine=fine),
        *(ears if turned_away else []),
        *before,
    ]
    face_points = np.concatenate([s.points for s in shapes if s.role == FACE])
    matrix = _matrix(face_points, height, centre, pose.roll)
    below = _at_neck(matrix, -0.3 * BACK_SHIFT * math.sin(pose.yaw), 0.2 * pose.roll)
    body = draw_body(dice, look.skin, standing=standing, fine=fine, front=True)
    turned, depths = on_head(*landmark_points(look), look, pose)
    landmarks = np.where(depths[:, None] > 0.02, transform(turned, matrix), np.nan)
    placed = place(body, below, height).shapes + place(shapes, matrix, height).shapes
    return Figure(placed, height, landmarks)


def draw_back_view(
    dice: Dice, height: float, centre: tuple[float, float], *, standing: bool
) -> Figure:
    """Returns a person seen from behind: a head without a face."""
    look, pose = sample_look(dice), Pose(0.0, 0.0, math.radians(dice.bell(8)))
    style = dice.pick(("short", "short", "long", "afro", "curly", "bob", "bald"))
    fine = height >= FINE_HEIGHT
    head = _ears(look, pose, fine=fine)
    skull = outline(look, pose)
    if style == "bald":
        head.append(Shape(skull, look.skin, role=COVER))
    else:
        head += [Shape(skull, shade(look.hair, 0.9), role=COVER), *hair_behind(style, look, pose)]
    matrix = _matrix(skull, height, centre, pose.roll)
    body = [
        *draw_body(dice, look.skin, standing=standing, fine=fine, front=False),
        Shape(box(-0.38, -0.5, 0.38, 0.35), shade(look.skin, 0.85), role=COVER),
    ]
    below = _at_neck(matrix, 0, 0)
    return Figure(place(body, below, height).shapes + place(head, matrix, height).shapes, height)


def _matrix(face: Points, height: float, centre: tuple[float, float], roll: float) -> Points:
    """Returns the transform that gives the turned face this box height and middle."""
    turned = transform(face, similarity(1.0, roll, (0.0, 0.0)))
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = height / float(high[1] - low[1])
    middle = (low + high) / 2 * scale
    return similarity(scale, roll, (centre[0] - float(middle[0]), centre[1] - float(middle[1])))


def _at_neck(matrix: Points, x: float, angle: float) -> Points:
    """Returns the transform of a body below a head, as large as that."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    at_x, at_y = transform(path((x, 0.95)), matrix)[0].tolist()
    return similarity(scale, angle, (at_x, at_y))


def _worn(dice: Dice, look: Look, pose: Pose) -> tuple[list[Shape], list[Shape], Colour | None]:
    """Returns what is worn behind and before the face, and the colour of a scarf if one is."""
    style = sample_style(dice, look.soft)
    hat = dice.pick(HATS) if dice.chance(0.24) else ""
    colour = cloth_colour(dice)
    if hat and style in ("afro", "bun", "spiky", "curly"):
        style = "short"
    before: list[Shape] = []
    if dice.chance(0.05):
        before += _mask(dice, look, pose)
    if dice.chance(0.22):
        before += eyewear(dice, look, pose)
    if not hat:
        before += fringe(dice, style, look, pose)
        return hair_behind(style, look, pose), before, None
    before += hat_before(dice, hat, look, pose, colour)
    behind = hat_behind(hat, look, pose, colour)
    if hat == "scarf":
        return behind, before, shade(colour, 0.9)
    return hair_behind(style, look, pose) + behind, before, None


def _mask(dice: Dice, look: Look, pose: Pose) -> list[Shape]:
    colour = jitter(dice, dice.pick(((235, 240, 244), (140, 190, 215), (40, 42, 48), CLOTH[0])))
    jaw = outline(look, pose)[3:22] * (1.0, 0.97)
    top = path((-0.8 * look.half_width, 0.2), (0, 0.08), (0.8 * look.half_width, 0.2))
    turned, _ = on_head(top, np.array([0.02, 0.2, 0.02]), look, pose)
    line = path((-0.4, 0.5), (0, 0.5), (0.4, 0.5))
    fold, _ = on_head(line, np.array([0.06, 0.16, 0.06]), look, pose)
    cloth = Shape(np.concatenate([jaw, turned]), colour, role=COVER)
    return [cloth, Shape(fold, shade(colour, 0.85), 0.03)]


def _ears(look: Look, pose: Pose, *, fine: bool) -> list[Shape]:
    """Returns both ears of a frontal face, or the one that a turned face shows."""
    colour, inner = shade(look.skin, 0.9), shade(look.skin, 0.74)
    shapes = []
    for side in (-1, 1):
        if abs(pose.yaw) >= ONE_EAR and side == math.copysign(1, pose.yaw):
            continue
        x = side * look.half_width * math.cos(0.72 * abs(pose.yaw))
        ear = ellipse(x, 0.08, 0.11, 0.2, 16)
        shapes.append(Shape(ear, colour, role=COVER))
        if fine:
            shapes.append(Shape(ellipse(x, 0.08, 0.055, 0.12, 12), inner))
    return shapes


def draw_body(dice: Dice, skin: Colour, *, standing: bool, fine: bool, front: bool) -> list[Shape]:
    """Returns a dressed body, which lacks details of the clothes now and then if it is small."""
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
