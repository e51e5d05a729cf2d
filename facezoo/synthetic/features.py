"""The features of a face: eyes, brows, nose, mouth, beard and glasses (units of ``look``)."""

import numpy as np

from facezoo.synthetic.figures import (
    DETAIL,
    FACE,
    INK,
    WHITE,
    Colour,
    Dice,
    Points,
    Shape,
    any_colour,
    is_dark,
    mix,
    moved,
    shade,
    unit_circle,
)
from facezoo.synthetic.look import Look, Pose, landmark_points, on_head, outline

NOSE = np.array(
    [(-0.035, -0.08), (-0.13, 0.3), (-0.07, 0.36), (0, 0.37), (0.07, 0.36), (0.13, 0.3),
     (0.035, -0.08)]
)  # fmt: skip
NOSE_LIFT = np.array([0.06, 0.05, 0.1, 0.17, 0.1, 0.05, 0.06])
ACROSS = np.linspace(-1, 1, 9)
MOUTH = np.stack([ACROSS, 1 - ACROSS**2], axis=1)
"""From corner to corner, sagging by 1 in the middle."""


class FacePainter:
    """Collects features given on the frontal face and turns them all at once."""

    def __init__(self, look: Look, pose: Pose) -> None:
        self.look, self.pose = look, pose
        self._shapes: list[Shape] = []
        self._lifts: list[Points] = []

    def add(
        self,
        points: Points,
        colour: Colour,
        *,
        width: float = 0.0,
        lift: Points | float = 0.0,
        role: int = DETAIL,
    ) -> None:
        """Adds a path of P x 2 points; ``lift`` as in ``on_head``."""
        self._shapes.append(Shape(points, colour, width, role))
        self._lifts.append(np.full(len(points), lift))

    def shapes(self) -> list[Shape]:
        """Returns the features that are visible in this pose."""
        points = np.concatenate([shape.points for shape in self._shapes])
        turned, depths = on_head(points, np.concatenate(self._lifts), self.look, self.pose)
        ends = np.cumsum([len(shape.points) for shape in self._shapes])[:-1]
        shapes = zip(moved(self._shapes, turned), np.split(depths, ends), strict=True)
        return [shape for shape, depth in shapes if depth.sum() > 0]


def draw_features(look: Look, pose: Pose, *, fine: bool) -> list[Shape]:
    """Returns eyes, brows, nose, mouth and beard, back to front.

    Iris, lids, nostrils and teeth only show on the ``fine`` larger faces.
    """
    face = FacePainter(look, pose)
    landmarks, lifts = landmark_points(look)
    if look.soft and fine:
        for side in (-1, 1):
            blush = mix(look.skin, shade(look.skin, 0.9), 0.5)
            face.add(unit_circle(16) * (0.17, 0.11) + (side * 0.42, 0.27), blush)
    _add_nose(face, landmarks[2], float(lifts[2]), fine)
    for eye in landmarks[:2]:
        _add_eye(face, eye, fine)
    beard = _beard(look, pose)
    _add_mouth(face, landmarks[3:], fine)
    if look.beard in ("full", "goatee", "moustache"):
        half, top = look.mouth_size * 1.1, look.mouth_y - 0.16
        curve = [(-half, top + 0.17), (-0.5 * half, top), (0, top + 0.03), (0.5 * half, top)]
        low = [(half, top + 0.17), (0.4 * half, top + 0.1), (-0.4 * half, top + 0.1)]
        face.add(np.array(curve + low), look.hair, lift=0.03)
    return beard + face.shapes()


def _add_eye(face: FacePainter, centre: Points, fine: bool) -> None:
    look = face.look
    at, side, size = centre, 1 if centre[0] > 0 else -1, look.eye_size
    brow_y = -0.17 - 0.04 * look.open_eyes
    brow = np.array([(-1.25, 0.3), (-0.5, -0.25), (0.4, -0.3), (1.35, 0.2)]) * (side * size, 0.1)
    dark = mix(look.hair, look.skin, 0.25) if sum(look.hair) > 450 else look.hair
    if not fine:
        # Features of a few pixels are recognized by their contrast alone.
        if is_dark(look.skin) and look.open_eyes:
            face.add(unit_circle(12) * (size * 1.2, size * 0.75) + at, mix(look.skin, WHITE, 0.7))
            face.add(unit_circle(8) * (size * 0.5) + at, INK)
        else:
            socket = mix(shade(look.skin, 0.35), INK, 0.6)
            face.add(unit_circle(12) * (size * 1.1, size * 0.75) + at, socket)
        face.add(brow + at + (0, brow_y - 0.03), shade(dark, 0.7), width=look.brow)
        return
    face.add(unit_circle(16) * (size * 1.3, size * 1.05) + at + (0, -0.02), shade(look.skin, 0.88))
    height = size * 0.62 * look.open_eyes
    lid = unit_circle(20) * (size, height) + at
    if look.open_eyes:
        face.add(lid, WHITE)
        radius = min(size * 0.5, height * 0.97)
        face.add(unit_circle(16) * radius + at, look.iris)
        face.add(unit_circle(12) * radius * 0.5 + at, INK)
        face.add(unit_circle(6) * radius * 0.2 + at + (0.3 * radius, -0.35 * radius), WHITE)
        lashes = lid[10:20]
    else:
        lashes = (unit_circle(20) * (size, size * 0.3) + at)[:11]
    face.add(lashes, mix(look.skin, INK, 0.8), width=0.045 if look.soft else 0.03)
    face.add(brow + at + (0, brow_y), dark, width=look.brow)


def _add_nose(face: FacePainter, tip: Points, lift: float, fine: bool) -> None:
    skin = face.look.skin
    # In profile the nose extends beyond the cheek, so that it belongs to the face's box.
    side_view = np.array([(0, -0.1), (0, 0.1), (0, tip[1] - 0.04), (0, 0.34), (0, 0.4)])
    side_lift = np.array([0.06, 0.14, lift, lift - 0.01, 0])
    face.add(side_view, shade(skin, 0.97), lift=side_lift, role=FACE)
    face.add(NOSE, shade(skin, 0.86 if fine else 0.78), lift=NOSE_LIFT)
    if fine:
        face.add(0.055 * unit_circle(12) + tip, shade(skin, 1.1), lift=lift)
        for side in (-1, 1):
            nostril = unit_circle(8) * (0.035, 0.02) + (side * 0.06, 0.35)
            face.add(nostril, shade(skin, 0.45), lift=0.11)


def _add_mouth(face: FacePainter, corners: Points, fine: bool) -> None:
    look = face.look
    half, corner_y = float(corners[1, 0]), float(corners[1, 1])
    line = mix(shade(look.lips, 0.45), INK, 0.3)

    def bow(sag: float) -> Points:
        return MOUTH * (half, sag) + (0, corner_y)

    def lips(up: float, down: float) -> Points:
        return np.concatenate([bow(up), bow(down)[::-1]])

    if not fine:
        opening = {"laugh": 0.19, "round": 0.2, "smile": 0.09, "closed": 0.06}[look.mouth]
        face.add(lips(-0.05, opening), mix(line, look.lips, 0.25))
    elif look.mouth == "laugh":
        face.add(lips(-0.03, 0.24), look.lips)
        face.add(lips(0.015, 0.19), (70, 20, 24))
        face.add(lips(0.015, 0.085), WHITE)
    elif look.mouth == "round":
        face.add(lips(-0.13, 0.16), look.lips)
        face.add(lips(-0.08, 0.11) * (0.8, 1), (60, 18, 22))
    else:
        sag = 0.09 if look.mouth == "smile" else 0.015
        face.add(lips(sag - 0.065, sag + 0.075), look.lips)
        face.add(bow(sag), line, width=0.028)


def _beard(look: Look, pose: Pose) -> list[Shape]:
    """Returns the beard along the jaw: its outer edge is the outline, its inner one turns."""
    if look.beard not in ("stubble", "full", "goatee"):
        return []
    colour = mix(look.skin, look.hair, 0.25) if look.beard == "stubble" else look.hair
    jaw = outline(look, pose)
    top, first = (0.5, 8) if look.beard == "goatee" else (0.3, 1)
    inner = np.array([(-0.5, 0.3), (-0.36, top), (0, 0.4), (0.36, top), (0.5, 0.3)])
    if look.beard == "goatee":
        inner = inner[1:4] + np.array((0, 0.2))
    turned, _ = on_head(inner, 0.0, look, pose)
    return [Shape(np.concatenate([jaw[first : 25 - first], turned]), colour)]


def eyewear(dice: Dice, look: Look, pose: Pose) -> list[Shape]:
    """Returns glasses or sunglasses; the eyes behind them still count as seen."""
    face = FacePainter(look, pose)
    dark = dice.chance(0.35)
    rim = INK if dice.chance(0.7) else any_colour(dice)
    radius, lens_height = dice.uniform(0.2, 0.25), dice.uniform(0.14, 0.22)
    power = dice.pick((1.0, 0.55))
    circle = unit_circle(24)
    lens = np.sign(circle) * np.abs(circle) ** power * (radius, lens_height)
    for side in (-1, 1):
        at = (side * look.eye_x, look.eye_y + 0.02)
        if dark:
            face.add(lens + at, mix(INK, rim, 0.2), lift=0.08)
        face.add(np.concatenate([lens, lens[:1]]) + at, rim, width=0.035, lift=0.08)
        hinge, ear = look.eye_x + radius, max(look.half_width, look.eye_x + radius)
        temple = np.array([(side * hinge, look.eye_y), (side * ear, look.eye_y)])
        face.add(temple, rim, width=0.035, lift=0.04)
    bridge = np.array([(radius - look.eye_x, look.eye_y), (look.eye_x - radius, look.eye_y)])
    face.add(bridge, rim, width=0.035, lift=0.1)
    return face.shapes()
