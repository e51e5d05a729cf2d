"""The head: outline, landmarks, hair and hats.

Units: the face runs from y = -1 (hairline) to y = 1 (chin), x to the image's right, and is about
1.5 wide. Features lie on an ellipsoid that turns with the pose, so that their positions, their
foreshortening and which of them the face hides follow from yaw and pitch.
"""

import math
from dataclasses import dataclass

import numpy as np

from facezoo.synthetic.figures import (
    COVER,
    Colour,
    Dice,
    Points,
    Shape,
    cloth_colour,
    ellipse,
    hair_colour,
    is_dark,
    mix,
    shade,
    skin_tone,
    unit_circle,
)

DEPTH = 0.56
"""How far the middle of the face stands before the plane of the ears."""
LEAST_CONTRAST = 75
"""Hair whose channels differ from those of the skin by less in sum is darkened."""
BEARDS = ("none",) * 8 + ("stubble", "full", "full", "goatee", "moustache", "moustache")
MOUTHS = ("closed",) * 4 + ("smile",) * 3 + ("laugh",) * 3 + ("round",)
EYE_COLOURS: tuple[Colour, ...] = (
    (58, 36, 24), (84, 54, 30), (40, 28, 24), (70, 110, 150), (80, 120, 80), (110, 115, 120),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What does not change when a head turns: colours and proportions."""

    skin: Colour
    hair: Colour  # of brows and beard too
    half_width: float  # of the face
    jaw: float  # how much the face narrows towards the chin
    eye_x: float  # distance from the middle
    eye_y: float
    eye_size: float  # half width
    mouth_y: float  # of its corners
    mouth_size: float  # half width
    mouth: str  # one of MOUTHS
    lips: Colour
    brow: float  # stroke width
    beard: str  # one of BEARDS
    open_eyes: float  # 0 (closed) to 1
    iris: Colour
    soft: bool  # has cheeks and lashes, and no beard


@dataclass(frozen=True)
class Pose:
    """Rotation of a head in radians: positive yaw to the image's right, positive pitch down."""

    yaw: float
    pitch: float
    roll: float


def sample_look(dice: Dice) -> Look:
    """Returns the look of one more person."""
    skin = skin_tone(dice)
    hair, soft = hair_colour(dice, skin), dice.chance(0.5)
    if sum(abs(a - b) for a, b in zip(skin, hair, strict=True)) < LEAST_CONTRAST:
        hair = shade(hair, 0.45)
    redness = dice.uniform(0.15, 0.7 if soft else 0.35)
    return Look(
        skin=skin,
        hair=hair,
        half_width=dice.uniform(0.68, 0.84),
        jaw=dice.uniform(0.08, 0.34),
        eye_x=dice.uniform(0.3, 0.37),
        eye_y=dice.uniform(-0.14, 0.02),
        eye_size=dice.uniform(0.13, 0.185),
        mouth_y=dice.uniform(0.5, 0.6),
        mouth_size=dice.uniform(0.2, 0.31),
        mouth=dice.pick(MOUTHS),
        lips=mix(shade(skin, 0.72), (196, 50, 66), redness),
        brow=dice.uniform(0.035, 0.06 if soft else 0.095),
        beard="none" if soft else dice.pick(BEARDS),
        open_eyes=0.0 if dice.chance(0.06) else dice.uniform(0.45, 1.0),
        iris=dice.pick(EYE_COLOURS[:3] if is_dark(skin) else EYE_COLOURS),
        soft=soft,
    )


def sample_pose(dice: Dice) -> Pose:
    """Returns a pose: mostly frontal and upright, up to profile and 60 degrees of roll."""
    yaw = dice.uniform(-75, 75) if dice.chance(0.3) else dice.bell(18)
    roll = dice.uniform(-60, 60) if dice.chance(0.12) else dice.bell(9)
    return Pose(math.radians(yaw), math.radians(dice.bell(9)), math.radians(roll))


def on_head(points: Points, lift: Points | float, look: Look, pose: Pose) -> tuple[Points, Points]:
    """Turns points of the face with the head.

    Args:
        points: P x 2, on the frontal face.
        lift: P or one number: how far the points stand out from the face.
        look: gives the half width.
        pose: yaw and pitch; roll belongs to the placing of the whole figure.

    Returns:
        P x 2 positions, and P depths: below 0 the face itself hides the point.
    """
    x, y = points[:, 0], points[:, 1]
    bulge = 1 - (x / look.half_width) ** 2 - (y / 1.12) ** 2
    z = DEPTH * np.sqrt(np.maximum(bulge, 0)) + lift
    depth = z * math.cos(pose.yaw) - x * math.sin(pose.yaw)
    turned = np.empty_like(points)
    turned[:, 0] = x * math.cos(pose.yaw) + z * math.sin(pose.yaw)
    turned[:, 1] = y * math.cos(pose.pitch) + depth * math.sin(pose.pitch)
    return turned, depth


def outline(look: Look, pose: Pose) -> Points:
    """Returns the outline of the face, 48 points, from +x over the chin (+y) around.

    The cheek that is turned away keeps its place; on the other side the face ends at the ear.
    """
    x, y = unit_circle(48).T
    x = look.half_width * np.sign(x) * np.abs(x) ** 0.9
    x = x * (1 - look.jaw * np.maximum(y, 0) ** 1.5)
    turn, sign = abs(pose.yaw), math.copysign(1.0, pose.yaw)
    away = 1 - 0.06 * math.sin(turn)
    return np.stack([x * np.where(x * sign > 0, away, math.cos(0.72 * turn)), y], axis=1)


def landmark_points(look: Look) -> tuple[Points, Points]:
    """Returns the five landmarks of the frontal face: 5 x 2 points, and how far they stand out."""
    corner = look.mouth_y - (0.04 if look.mouth in ("smile", "laugh") else 0.0)
    mouth = look.mouth_size * (0.6 if look.mouth == "round" else 1.0)
    eyes = [(-look.eye_x, look.eye_y), (look.eye_x, look.eye_y)]
    points = np.array([*eyes, (0, 0.29), (-mouth, corner), (mouth, corner)])
    return points, np.array([0, 0, 0.2, 0, 0])


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
