"""People: a head on a body, placed so that the face has an exact height and middle."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from facezoo.synthetic.body import draw_body
from facezoo.synthetic.colours import (
    CLOTH,
    Colour,
    cloth_colour,
    jitter,
    shade,
)
from facezoo.synthetic.dice import Dice
from facezoo.synthetic.features import draw_features, eyewear
from facezoo.synthetic.figures import (
    COVER,
    FACE,
    Figure,
    Points,
    Shape,
    box,
    ellipse,
    join,
    path,
    place,
    similarity,
    transform,
)
from facezoo.synthetic.hair import (
    BACK_SHIFT,
    HATS,
    fringe,
    hair_behind,
    hat_before,
    hat_behind,
    sample_style,
)
from facezoo.synthetic.look import (
    Look,
    Pose,
    landmark_points,
    on_head,
    outline,
    sample_look,
    sample_pose,
)

FINE_HEIGHT = 22
"""Faces at least this high, in pixels, are drawn with their details."""
ONE_EAR = 0.3
"""A yaw, in radians, from which on only one ear shows."""


def draw_person(
    dice: Dice, height: float, centre: tuple[float, float], *, standing: bool
) -> Figure:
    """Returns a person whose face's upright box is ``height`` pixels high around ``centre``.

    Args:
        dice: chance.
        height: of the face in pixels.
        centre: middle of the face's box in the image.
        standing: drawn with legs, not only down to the chest.
    """
    look, pose = sample_look(dice), sample_pose(dice)
    fine = height >= FINE_HEIGHT
    worn = _worn(dice, look, pose)
    ears = [] if worn.scarf else _ears(look, pose, fine=fine)
    turned_away = abs(pose.yaw) >= ONE_EAR
    shapes = [
        *worn.behind,
        Shape(_neck(pose), worn.scarf or shade(look.skin, 0.78), role=COVER),
        *([] if turned_away else ears),
        Shape(outline(look, pose), look.skin, role=FACE),
        *draw_features(look, pose, fine=fine),
        *(ears if turned_away else []),
        *worn.before,
    ]
    face_points = np.concatenate([s.points for s in shapes if s.role == FACE])
    matrix = _matrix(face_points, height, centre, pose.roll)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    neck = transform(path((-0.3 * BACK_SHIFT * math.sin(pose.yaw), 0.95)), matrix)[0]
    below = similarity(scale, 0.2 * pose.roll, (float(neck[0]), float(neck[1])))
    body = draw_body(dice, look.skin, standing=standing, fine=fine, front=True)
    turned, depths = on_head(*landmark_points(look), look, pose)
    landmarks = np.where(depths[:, None] > 0.02, transform(turned, matrix), np.nan)
    return join([place(body, below, height), place(shapes, matrix, height)], height, landmarks)


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
    neck = transform(path((0, 0.95)), matrix)[0]
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    below = similarity(scale, 0, (float(neck[0]), float(neck[1])))
    body = [
        *draw_body(dice, look.skin, standing=standing, fine=fine, front=False),
        Shape(box(-0.38, -0.5, 0.38, 0.35), shade(look.skin, 0.85), role=COVER),
    ]
    return join([place(body, below, height), place(head, matrix, height)], height)


def _matrix(face: Points, height: float, centre: tuple[float, float], roll: float) -> Points:
    """Returns the transform that gives the turned face this box height and middle."""
    turned = transform(face, similarity(1.0, roll, (0.0, 0.0)))
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = height / float(high[1] - low[1])
    middle = (low + high) / 2 * scale
    return similarity(scale, roll, (centre[0] - float(middle[0]), centre[1] - float(middle[1])))


class Worn(NamedTuple):
    """Hair, hat, glasses and mask.

    Attributes:
        behind: what lies behind the face.
        before: what lies before it.
        scarf: colour of the scarf that wraps ears and neck, None without one.
    """

    behind: list[Shape]
    before: list[Shape]
    scarf: Colour | None


def _worn(dice: Dice, look: Look, pose: Pose) -> Worn:
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
        return Worn(hair_behind(style, look, pose), before, None)
    before += hat_before(dice, hat, look, pose, colour)
    behind = hat_behind(hat, look, pose, colour)
    if hat == "scarf":
        return Worn(behind, before, shade(colour, 0.9))
    return Worn(hair_behind(style, look, pose) + behind, before, None)


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


def _neck(pose: Pose) -> Points:
    return box(-0.36, 0.4, 0.36, 1.3) - (BACK_SHIFT * math.sin(pose.yaw), 0)
