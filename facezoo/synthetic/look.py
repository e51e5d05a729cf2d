"""The head: outline, features and landmarks of a face.

Units: the face runs from y = -1 (hairline) to y = 1 (chin), x to the image's right, and is about
1.5 wide. Features lie on an ellipsoid that turns with the pose, so that their positions, their
foreshortening and which of them the face hides follow from yaw and pitch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facezoo.synthetic.colours import Colour, hair_colour, is_dark, mix, shade, skin_tone
from facezoo.synthetic.dice import Dice
from facezoo.synthetic.figures import Points, unit_circle

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
    """What does not change when a head turns: colours and proportions.

    Attributes:
        skin: tone.
        hair: colour of hair, brows and beard.
        half_width: of the face.
        jaw: how much the face narrows towards the chin.
        eye_x: distance of the eyes from the middle.
        eye_y: height of the eyes.
        eye_size: half width of an eye.
        mouth_y: height of the mouth's corners.
        mouth_size: half width of the mouth.
        mouth: one of MOUTHS.
        lips: colour.
        brow: stroke width of the brows.
        beard: one of BEARDS.
        open_eyes: 0 (closed) to 1.
        iris: colour.
        soft: has cheeks and lashes, and no beard.
    """

    skin: Colour
    hair: Colour
    half_width: float
    jaw: float
    eye_x: float
    eye_y: float
    eye_size: float
    mouth_y: float
    mouth_size: float
    mouth: str
    lips: Colour
    brow: float
    beard: str
    open_eyes: float
    iris: Colour
    soft: bool


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
