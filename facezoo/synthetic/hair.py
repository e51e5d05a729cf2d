"""Hair and what is worn on the head, in the units of the head (see ``look``)."""

from __future__ import annotations

import math

import numpy as np

from facezoo.synthetic.colours import Colour, cloth_colour, mix, shade
from facezoo.synthetic.dice import Dice
from facezoo.synthetic.figures import COVER, Points, Shape, ellipse, unit_circle
from facezoo.synthetic.look import Look, Pose, on_head, outline

STYLES = (
    "short", "short", "short", "swept", "swept", "long", "long", "bob", "bob", "afro", "curly",
    "curly", "bun", "tails", "bald", "ring", "spiky",
)  # fmt: skip
HATS = ("cap", "cap", "beanie", "beanie", "sunhat", "scarf", "scarf", "helmet", "turban", "top")
TEMPLES = np.linspace(0.93, -0.93, 11)
FOREHEAD = np.stack([np.linspace(1, -1, 13), 0.16 * np.linspace(1, -1, 13) ** 2], axis=1)
BACK_SHIFT = 0.2
"""How far the back of the head of a face in profile lies behind its middle."""


def sample_style(dice: Dice, soft: bool) -> str:
    """Returns a hair style; soft faces are never bald, the others wear no bun, tails or bob."""
    style = dice.pick(STYLES)
    if soft and style in ("bald", "ring"):
        return "bob"
    if not soft and style in ("bun", "tails", "bob"):
        return "short"
    return style


def _back(look: Look, pose: Pose, reach: float, top: float, bottom: float) -> Points:
    """Returns a head-shaped path behind the face, from y = -top down to y = bottom."""
    x, y = unit_circle(64).T
    x = np.sign(x) * np.abs(x) ** 0.85 * look.half_width * reach
    y = np.where(y < 0, y * top, y * bottom)
    return np.stack([x - BACK_SHIFT * math.sin(pose.yaw), y], axis=1)


def _curls(edge: Points, size: float) -> Points:
    """Returns the closed path with a row of curls along it."""
    closed = np.concatenate([edge, edge[:1]])
    steps = np.arange(len(edge) * 2) / 2
    smooth = np.stack([np.interp(steps, np.arange(len(closed)), c) for c in closed.T], axis=1)
    middle = smooth.mean(axis=0)
    return middle + (smooth - middle) * (1 + size * np.abs(np.sin(steps * math.pi / 4)))[:, None]


def hair_behind(style: str, look: Look, pose: Pose) -> list[Shape]:
    """Returns the hair that lies behind face and ears."""
    colour, dark = look.hair, shade(look.hair, 0.8)
    if style in ("bald", "ring"):
        skull = Shape(_back(look, pose, 0.98, 0.98, 0.6), shade(look.skin, 0.93), role=COVER)
        ring = Shape(_back(look, pose, 1.14, 0.35, 0.45), colour, role=COVER)
        return [skull] if style == "bald" else [skull, ring]
    if style == "afro":
        return [Shape(_curls(_back(look, pose, 1.55, 1.7, 0.8), 0.1), colour, role=COVER)]
    if style == "curly":
        return [Shape(_curls(_back(look, pose, 1.25, 1.38, 0.72), 0.12), colour, role=COVER)]
    if style in ("long", "bob"):
        bottom = 1.95 if style == "long" else 0.95
        fall = _back(look, pose, 1.22, 1.26, bottom)
        wide = fall[:, 1] > 0
        fall[wide, 0] = fall[wide, 0] * 1.04
        return [Shape(fall, dark, role=COVER)]
    shapes = [Shape(_back(look, pose, 1.09, 1.24, 0.5), colour, role=COVER)]
    turn = -BACK_SHIFT * math.sin(pose.yaw)
    if style == "bun":
        shapes.insert(0, Shape(ellipse(turn * 2, -1.4, 0.34, 0.3), colour, role=COVER))
    elif style == "tails":
        for side in (-1, 1):
            tail = ellipse(side * look.half_width * 1.25 + turn, 0.3, 0.28, 0.75)
            shapes.insert(0, Shape(tail, colour, role=COVER))
    elif style == "spiky":
        edge = _back(look, pose, 1.1, 1.22, 0.5)[32:]
        spikes = edge.copy()
        spikes[1::2] = spikes[1::2] * (1.12, 1.3)
        shapes.append(Shape(spikes, colour, role=COVER))
    return shapes


def fringe(dice: Dice, style: str, look: Look, pose: Pose) -> list[Shape]:
    """Returns the hair that falls over the forehead."""
    if style in ("bald", "ring", "spiky"):
        return []
    depth = dice.uniform(-0.92, -0.6)
    parting, skew = dice.uniform(-0.5, 0.5), dice.uniform(-0.25, 0.25)
    across = TEMPLES * look.half_width
    away = np.abs(across - parting)
    edge = depth + skew * across + (0.28 * away if style != "bob" else 0.1 * away)
    edge = edge + (np.arange(11) % 2) * (0.05 if style in ("curly", "afro", "swept") else 0.0)
    line = np.stack([across, np.clip(edge, -0.98, -0.35)], axis=1)
    turned, depths = on_head(line, 0.02, look, pose)
    crown = outline(look, pose)[27:46] * (1.05, 1.06)
    # From the left temple over the crown to the right one, and back along the edge.
    return [Shape(np.concatenate([crown, turned[depths > -0.02]]), look.hair, role=COVER)]


def hat_behind(hat: str, look: Look, pose: Pose, colour: Colour) -> list[Shape]:
    """Returns what of a hat lies behind the face."""
    if hat == "scarf":
        return [
            Shape(_back(look, pose, 1.34, 1.3, 1.5), shade(colour, 0.8), role=COVER),
            Shape(_back(look, pose, 1.18, 1.2, 1.3), colour, role=COVER),
        ]
    if hat == "sunhat":
        middle = -0.72
        return [Shape(ellipse(0, middle, 1.75, 0.5, 32), shade(colour, 0.8), role=COVER)]
    return []


def hat_before(dice: Dice, hat: str, look: Look, pose: Pose, colour: Colour) -> list[Shape]:
    """Returns what of a hat lies before the face; its edge stays near the hairline."""
    band = cloth_colour(dice)
    line = dice.uniform(-0.84, -0.7)
    tops = {"cap": 1.34, "beanie": 1.42, "sunhat": 1.45, "helmet": 1.5, "turban": 1.5, "top": 1.25}
    dome = _back(look, pose, 1.16, tops.get(hat, 1.25), 0.5)
    upper = dome[dome[:, 1] < line]
    upper = upper[np.argsort(np.arctan2(upper[:, 1] - line, upper[:, 0]))]
    if hat == "scarf":
        front = _rim(look, pose, -0.86, 0.03)
        return [Shape(np.concatenate([upper, front]), colour, role=COVER)]
    front = _rim(look, pose, line, 0.06)
    shapes = [Shape(np.concatenate([upper, front]), colour, role=COVER)]
    if hat == "beanie":
        shapes.append(Shape(front, band, 0.24, COVER))
        if dice.chance(0.5):
            shapes.append(Shape(ellipse(0, -1.5, 0.2, 0.2), band, role=COVER))
    elif hat == "cap":
        edge = _rim(look, pose, line + 0.08, 0.5)[2:-2][::-1]
        visor = np.concatenate([front[2:-2], edge])
        shapes.append(Shape(visor, shade(colour, 0.75), role=COVER))
    elif hat == "sunhat":
        shapes.append(Shape(front, band, 0.16, COVER))
    elif hat == "helmet":
        shapes.append(Shape(front, shade(colour, 0.8), 0.1, COVER))
        ridge = np.array([(0.0, line), (0.0, -1.45)]) - (BACK_SHIFT * math.sin(pose.yaw), 0)
        shapes.append(Shape(ridge, mix(colour, (255, 255, 255), 0.3), 0.16))
    elif hat == "turban":
        for low in (0.25, 0.5):
            shapes.append(Shape(front - (0, low), shade(colour, 0.82), 0.05))
    elif hat == "top":
        left, right = -look.half_width * 1.02, look.half_width * 1.02
        crown = np.array([(left, line), (left * 1.05, -2.1), (right * 1.05, -2.1), (right, line)])
        shapes.append(Shape(crown, colour, role=COVER))
        shapes.append(Shape(ellipse(0, line, look.half_width * 1.5, 0.12), colour, role=COVER))
        shapes.append(Shape(crown[[0, 3]] - (0, 0.2), band, 0.18))
    return shapes


def _rim(look: Look, pose: Pose, height: float, lift: float) -> Points:
    """Returns what shows of a line around the forehead, from right to left."""
    line = FOREHEAD * (look.half_width, 1) + (0, height)
    turned, depths = on_head(line, lift, look, pose)
    return turned[depths > -0.02]
